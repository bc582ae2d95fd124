"""Status changes that are not legal, changes of what was agreed, and invoices that do not match.

Each rule is the WHEN of a trigger: it reads as the rule, costs no call for a row that is in order,
and `schema diff` compares it. The functions only say no. A word that is no state at all is left to
the CHECK, so that each rule can be seen to hold by itself.
"""

from alembic import op

from postgres.schema.forward import no_way_back

revision = "0003"
down_revision = "0002"

# The clients see the trigger's name as the constraint that was violated.
REFUSE_FIRST_STATE = """
CREATE FUNCTION refuse_first_state() RETURNS trigger
    LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    RAISE EXCEPTION '% cannot begin as %', TG_TABLE_NAME, NEW.statut
        USING ERRCODE = 'check_violation', CONSTRAINT = TG_NAME,
              TABLE = TG_TABLE_NAME, SCHEMA = TG_TABLE_SCHEMA;
END $$
"""

REFUSE_STATE_CHANGE = """
CREATE FUNCTION refuse_state_change() RETURNS trigger
    LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    RAISE EXCEPTION '% % cannot go from % to %', TG_TABLE_NAME, OLD.id, OLD.statut, NEW.statut
        USING ERRCODE = 'check_violation', CONSTRAINT = TG_NAME,
              TABLE = TG_TABLE_NAME, SCHEMA = TG_TABLE_SCHEMA;
END $$
"""

REFUSE_CHANGE = """
CREATE FUNCTION refuse_change() RETURNS trigger
    LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    RAISE EXCEPTION '% %: %', TG_TABLE_NAME, OLD.id, TG_ARGV[0]
        USING ERRCODE = 'check_violation', CONSTRAINT = TG_NAME,
              TABLE = TG_TABLE_NAME, SCHEMA = TG_TABLE_SCHEMA;
END $$
"""

# Amount and currency of both never change, so that holding at the INSERT is holding for ever.
# One look for a whole COPY; an invoice without a payment is the foreign key's to refuse.
REFUSE_OTHER_PAYMENT = """
CREATE FUNCTION refuse_other_payment() RETURNS trigger
    LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    wrong record;
BEGIN
    SELECT i.id, i.montant, i.devise, p.montant AS paid, p.devise AS currency INTO wrong
    FROM inserted i JOIN intention_paiement p ON p.id = i.id_intention_paiement
    WHERE i.montant > p.montant OR i.devise <> p.devise LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'facture % is of % %, its payment of % %',
            wrong.id, wrong.montant, wrong.devise, wrong.paid, wrong.currency
            USING ERRCODE = 'check_violation', CONSTRAINT = TG_NAME,
                  TABLE = TG_TABLE_NAME, SCHEMA = TG_TABLE_SCHEMA;
    END IF;
    RETURN NULL;
END $$
"""

ABONNEMENT = (
    """
CREATE TRIGGER abonnement_first_state BEFORE INSERT ON abonnement FOR EACH ROW
    WHEN (NEW.statut IN ('SUSPENDU', 'EXPIRE'))
    EXECUTE FUNCTION refuse_first_state()
""",
    """
CREATE TRIGGER abonnement_state_change BEFORE UPDATE ON abonnement FOR EACH ROW
    WHEN (OLD.statut <> NEW.statut AND (OLD.statut, NEW.statut) NOT IN (
        ('EN_ATTENTE', 'ACTIF'), ('EN_ATTENTE', 'EXPIRE'),
        ('ACTIF', 'SUSPENDU'), ('ACTIF', 'EXPIRE'),
        ('SUSPENDU', 'ACTIF'), ('SUSPENDU', 'EXPIRE')))
    EXECUTE FUNCTION refuse_state_change()
""",
    """
CREATE TRIGGER abonnement_immutable BEFORE UPDATE ON abonnement FOR EACH ROW
    WHEN ((OLD.id, OLD.id_utilisateur) IS DISTINCT FROM (NEW.id, NEW.id_utilisateur))
    EXECUTE FUNCTION refuse_change('id and id_utilisateur never change')
""",
)

INTENTION_PAIEMENT = (
    """
CREATE TRIGGER intention_paiement_first_state BEFORE INSERT ON intention_paiement FOR EACH ROW
    WHEN (NEW.statut IN ('CONFIRMEE', 'ANNULEE', 'EXPIREE'))
    EXECUTE FUNCTION refuse_first_state()
""",
    """
CREATE TRIGGER intention_paiement_state_change BEFORE UPDATE ON intention_paiement FOR EACH ROW
    WHEN (OLD.statut <> NEW.statut AND (OLD.statut, NEW.statut) NOT IN (
        ('INITIEE', 'CONFIRMEE'), ('INITIEE', 'ANNULEE'), ('INITIEE', 'EXPIREE')))
    EXECUTE FUNCTION refuse_state_change()
""",
    """
CREATE TRIGGER intention_paiement_immutable BEFORE UPDATE ON intention_paiement FOR EACH ROW
    WHEN ((OLD.id, OLD.id_utilisateur, OLD.montant, OLD.devise, OLD.cle_idempotence, OLD.cree_le)
        IS DISTINCT FROM
        (NEW.id, NEW.id_utilisateur, NEW.montant, NEW.devise, NEW.cle_idempotence, NEW.cree_le))
    EXECUTE FUNCTION refuse_change('what the user agreed to never changes: make a new payment')
""",
)

FACTURE = (
    """
CREATE TRIGGER facture_first_state BEFORE INSERT ON facture FOR EACH ROW
    WHEN (NEW.statut IN ('PAYEE', 'REMBOURSEE'))
    EXECUTE FUNCTION refuse_first_state()
""",
    """
CREATE TRIGGER facture_state_change BEFORE UPDATE ON facture FOR EACH ROW
    WHEN (OLD.statut <> NEW.statut AND (OLD.statut, NEW.statut) NOT IN (
        ('EN_ATTENTE', 'PAYEE'), ('PAYEE', 'REMBOURSEE')))
    EXECUTE FUNCTION refuse_state_change()
""",
    """
CREATE TRIGGER facture_immutable BEFORE UPDATE ON facture FOR EACH ROW
    WHEN ((OLD.id, OLD.id_intention_paiement, OLD.id_abonnement, OLD.reference_externe,
           OLD.montant, OLD.devise, OLD.emise_le)
        IS DISTINCT FROM
        (NEW.id, NEW.id_intention_paiement, NEW.id_abonnement, NEW.reference_externe,
         NEW.montant, NEW.devise, NEW.emise_le))
    EXECUTE FUNCTION refuse_change('of an invoice that was issued only the status changes')
""",
    """
CREATE TRIGGER facture_matches_payment AFTER INSERT ON facture
    REFERENCING NEW TABLE AS inserted FOR EACH STATEMENT
    EXECUTE FUNCTION refuse_other_payment()
""",
)

DROIT_ACCES = (
    """
CREATE TRIGGER droit_acces_immutable BEFORE UPDATE ON droit_acces FOR EACH ROW
    WHEN ((OLD.id, OLD.id_abonnement, OLD.id_utilisateur, OLD.droit)
        IS DISTINCT FROM (NEW.id, NEW.id_abonnement, NEW.id_utilisateur, NEW.droit))
    EXECUTE FUNCTION refuse_change('of a right only its time changes')
""",
)


def upgrade() -> None:
    """Create the functions, then the rules that call them."""
    for statement in (
        REFUSE_FIRST_STATE,
        REFUSE_STATE_CHANGE,
        REFUSE_CHANGE,
        REFUSE_OTHER_PAYMENT,
        *ABONNEMENT,
        *INTENTION_PAIEMENT,
        *FACTURE,
        *DROIT_ACCES,
    ):
        op.execute(statement)


downgrade = no_way_back
