"""The four tables, what they refer to, and what each value may be.

Words and bounds are CHECKs and not types: a new word is then a constraint that is validated while
writers go on. `id_utilisateur` refers to MongoDB's UTILISATEUR: `data check` looks after it.
"""

from alembic import op

from postgres.schema.forward import no_way_back

revision = "0001"
down_revision = None

ABONNEMENT = """
CREATE TABLE abonnement (
    id              uuid NOT NULL,
    id_utilisateur  uuid NOT NULL,
    formule         text NOT NULL,
    statut          text NOT NULL,
    debut           timestamptz NOT NULL,
    fin             timestamptz,
    CONSTRAINT abonnement_pkey PRIMARY KEY (id),
    CONSTRAINT abonnement_formule_check CHECK (formule IN ('PREMIUM', 'VIP')),
    CONSTRAINT abonnement_statut_check
        CHECK (statut IN ('EN_ATTENTE', 'ACTIF', 'SUSPENDU', 'EXPIRE')),
    CONSTRAINT abonnement_fin_check CHECK (fin > debut)
)
"""

# `montant` counts minor units (cents) in whole numbers.
INTENTION_PAIEMENT = """
CREATE TABLE intention_paiement (
    id               uuid NOT NULL,
    id_utilisateur   uuid NOT NULL,
    id_abonnement    uuid,
    montant          bigint NOT NULL,
    devise           text NOT NULL,
    statut           text NOT NULL,
    cle_idempotence  text NOT NULL,
    cree_le          timestamptz NOT NULL,
    CONSTRAINT intention_paiement_pkey PRIMARY KEY (id),
    CONSTRAINT intention_paiement_cle_idempotence_key UNIQUE (cle_idempotence),
    CONSTRAINT intention_paiement_id_abonnement_fkey
        FOREIGN KEY (id_abonnement) REFERENCES abonnement (id),
    CONSTRAINT intention_paiement_montant_check CHECK (montant >= 1),
    CONSTRAINT intention_paiement_devise_check
        CHECK (devise IN ('EUR', 'USD', 'GBP', 'CHF', 'CAD')),
    CONSTRAINT intention_paiement_statut_check
        CHECK (statut IN ('INITIEE', 'CONFIRMEE', 'ANNULEE', 'EXPIREE')),
    CONSTRAINT intention_paiement_cle_idempotence_check
        CHECK (char_length(cle_idempotence) BETWEEN 1 AND 100)
)
"""

FACTURE = """
CREATE TABLE facture (
    id                     uuid NOT NULL,
    id_intention_paiement  uuid NOT NULL,
    id_abonnement          uuid,
    reference_externe      text NOT NULL,
    montant                bigint NOT NULL,
    devise                 text NOT NULL,
    statut                 text NOT NULL,
    emise_le               timestamptz NOT NULL,
    CONSTRAINT facture_pkey PRIMARY KEY (id),
    CONSTRAINT facture_reference_externe_key UNIQUE (reference_externe),
    CONSTRAINT facture_id_intention_paiement_fkey
        FOREIGN KEY (id_intention_paiement) REFERENCES intention_paiement (id),
    CONSTRAINT facture_id_abonnement_fkey
        FOREIGN KEY (id_abonnement) REFERENCES abonnement (id),
    CONSTRAINT facture_montant_check CHECK (montant >= 1),
    CONSTRAINT facture_devise_check CHECK (devise IN ('EUR', 'USD', 'GBP', 'CHF', 'CAD')),
    CONSTRAINT facture_statut_check CHECK (statut IN ('EN_ATTENTE', 'PAYEE', 'REMBOURSEE')),
    CONSTRAINT facture_reference_externe_check
        CHECK (char_length(reference_externe) BETWEEN 1 AND 100)
)
"""

DROIT_ACCES = """
CREATE TABLE droit_acces (
    id              uuid NOT NULL,
    id_abonnement   uuid NOT NULL,
    id_utilisateur  uuid NOT NULL,
    droit           text NOT NULL,
    accorde_le      timestamptz NOT NULL,
    expire_le       timestamptz,
    CONSTRAINT droit_acces_pkey PRIMARY KEY (id),
    CONSTRAINT droit_acces_id_abonnement_droit_key UNIQUE (id_abonnement, droit),
    CONSTRAINT droit_acces_id_abonnement_fkey
        FOREIGN KEY (id_abonnement) REFERENCES abonnement (id),
    CONSTRAINT droit_acces_droit_check CHECK (
        droit IN ('SESSIONS_ILLIMITEES', 'AGENTS_IA', 'CLASSE_VIRTUELLE', 'TRADUCTION')
    ),
    CONSTRAINT droit_acces_expire_le_check CHECK (expire_le > accorde_le)
)
"""


def upgrade() -> None:
    """Create the tables, each after what it refers to."""
    for statement in (ABONNEMENT, INTENTION_PAIEMENT, FACTURE, DROIT_ACCES):
        op.execute(statement)


downgrade = no_way_back
