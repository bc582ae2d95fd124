"""What an operator may do to PostgreSQL's schema by hand, and what then is to be seen."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Break:
    """Statements of a superuser in the schema; the one drift, and the one line of verify.

    An empty `line`: nothing that a requirement names is different. None: too many to name.
    """

    statement: str
    drift: str
    line: str | None
    prune: bool = False


MENDED = (
    Break(
        "DROP INDEX facture_statut_emise_le_idx",
        "FACTURE index facture_statut_emise_le_idx",
        "FACTURE facture_statut_emise_le_idx is used",
    ),
    Break(
        "DROP INDEX droit_acces_id_utilisateur_droit_idx;"
        " CREATE INDEX droit_acces_id_utilisateur_droit_idx ON droit_acces (accorde_le)",
        "DROIT_ACCES index droit_acces_id_utilisateur_droit_idx",
        "DROIT_ACCES droit_acces_id_utilisateur_droit_idx is used",
    ),
    Break(
        "ALTER TABLE intention_paiement DROP CONSTRAINT intention_paiement_cle_idempotence_key",
        "INTENTION_PAIEMENT constraint intention_paiement_cle_idempotence_key",
        "INTENTION_PAIEMENT intention_paiement_cle_idempotence_key: ",
    ),
    Break(
        "ALTER TABLE droit_acces DROP CONSTRAINT droit_acces_pkey",
        "DROIT_ACCES constraint droit_acces_pkey",
        "DROIT_ACCES droit_acces_pkey: (id) refuses a duplicate",
    ),
    Break(
        "ALTER TABLE facture DROP CONSTRAINT facture_id_abonnement_fkey",
        "FACTURE constraint facture_id_abonnement_fkey",
        "FACTURE facture_id_abonnement_fkey: id_abonnement refuses an orphan",
    ),
    Break(
        "ALTER TABLE facture DROP CONSTRAINT facture_montant_check",
        "FACTURE constraint facture_montant_check",
        "FACTURE facture_montant_check: montant is at least 1",
    ),
    Break(  # no trial finds the one word too many
        "ALTER TABLE abonnement DROP CONSTRAINT abonnement_formule_check,"
        " ADD CONSTRAINT abonnement_formule_check CHECK (formule IN ('PREMIUM', 'VIP', 'GRATUIT'))",
        "ABONNEMENT constraint abonnement_formule_check",
        "ABONNEMENT abonnement_formule_check: formule is one of",
    ),
    Break(
        "ALTER TABLE abonnement DISABLE TRIGGER abonnement_state_change",
        "ABONNEMENT trigger abonnement_state_change",
        "ABONNEMENT abonnement_state_change: every illegal change",
    ),
    Break(
        "DROP TRIGGER facture_immutable ON facture",
        "FACTURE trigger facture_immutable",
        "FACTURE facture_immutable: ",
    ),
    Break(
        "CREATE OR REPLACE FUNCTION refuse_other_payment() RETURNS trigger LANGUAGE plpgsql"
        " AS 'BEGIN RETURN NULL; END'",
        " function refuse_other_payment()",
        "FACTURE facture_matches_payment: ",
    ),
    Break(
        "ALTER TABLE facture ALTER COLUMN devise SET DEFAULT 'EUR'",
        "FACTURE default of column devise",
        "FACTURE no column has a default",
    ),
    Break(
        "ALTER TABLE intention_paiement ALTER COLUMN montant DROP NOT NULL",
        "INTENTION_PAIEMENT nullability of column montant",
        "INTENTION_PAIEMENT its required fields refuse null",
    ),
    Break(
        "REVOKE DELETE ON facture FROM {application}; GRANT SELECT ON facture TO {monitor}",
        "FACTURE grants",
        "FACTURE the application reads and writes",
    ),
    Break(
        "ALTER TABLE droit_acces OWNER TO {application}",
        "DROIT_ACCES owner",
        "DROIT_ACCES the application reads and writes",
    ),
    Break(
        "ALTER TABLE droit_acces ENABLE ROW LEVEL SECURITY",
        "DROIT_ACCES row security",
        None,  # the application sees nothing any more: most lines are red
    ),
    Break(
        "ALTER ROLE {application} SET synchronous_commit TO off",
        " setting synchronous_commit of role {application}",
        " a session of the application commits with synchronous_commit on",
    ),
    Break(
        "CREATE INDEX of_somebody ON facture (montant)",
        "FACTURE index of_somebody",
        "",
        prune=True,
    ),
    Break(
        "CREATE RULE quiet AS ON DELETE TO abonnement WHERE old.formule = 'VIP' DO INSTEAD NOTHING",
        "ABONNEMENT rule quiet",
        "ABONNEMENT its rows are replicated, and nothing hides them or acts on them unseen",
        prune=True,
    ),
    Break(
        "ALTER TABLE facture ADD CONSTRAINT no_francs CHECK (devise <> 'CHF')",
        "FACTURE constraint no_francs",
        "FACTURE its rows are replicated, and nothing hides them or acts on them unseen",
        prune=True,
    ),
)

# What may hold data, or has lost some, is named and left alone; then mended by the operator.
REFUSED = (
    (
        Break(
            "ALTER TABLE facture ADD COLUMN remise bigint",
            "FACTURE column remise",
            "FACTURE its columns are of the declared types",
        ),
        "ALTER TABLE facture DROP COLUMN remise",
        "it may hold data",
    ),
    (
        Break(
            "ALTER TABLE abonnement ALTER COLUMN fin TYPE timestamptz(0)",
            "ABONNEMENT column fin",
            "ABONNEMENT its columns are of the declared types",
        ),
        "ALTER TABLE abonnement ALTER COLUMN fin TYPE timestamptz",
        "rewrites the table",
    ),
    (
        Break("CREATE TABLE brouillon (id uuid)", "brouillon table", ""),
        "DROP TABLE brouillon",
        "nobody declared it",
    ),
    (
        Break(
            "ALTER TABLE droit_acces SET UNLOGGED",
            "DROIT_ACCES persistence",
            "DROIT_ACCES its rows are replicated",
        ),
        "ALTER TABLE droit_acces SET LOGGED",
        "SET LOGGED",
    ),
)
