"""The indexes that the catalogue's queries use; those of constraints came with the tables."""

from postgres.schema.forward import create_index, no_way_back

revision = "0002"
down_revision = "0001"

INDEXES = (
    (
        "abonnement",
        "abonnement_id_utilisateur_statut_idx ON abonnement (id_utilisateur, statut)",
    ),
    (
        "abonnement",
        "abonnement_formule_statut_idx ON abonnement (formule, statut)",
    ),
    (
        "intention_paiement",
        "intention_paiement_id_utilisateur_statut_idx"
        " ON intention_paiement (id_utilisateur, statut)",
    ),
    (
        "intention_paiement",
        "intention_paiement_id_abonnement_idx ON intention_paiement (id_abonnement)",
    ),
    (
        "facture",
        "facture_id_intention_paiement_idx ON facture (id_intention_paiement)",
    ),
    (
        "facture",
        "facture_id_abonnement_idx ON facture (id_abonnement)",
    ),
    (
        "facture",
        "facture_statut_emise_le_idx ON facture (statut, emise_le)",
    ),
    (
        "droit_acces",
        "droit_acces_id_utilisateur_droit_idx ON droit_acces (id_utilisateur, droit)",
    ),
)


def upgrade() -> None:
    """Create them."""
    for table, definition in INDEXES:
        create_index(table, definition)


downgrade = no_way_back
