"""What makes running servers a PostgreSQL side: etcd's users, leaders, roles, archive, edge."""

from cluster.context import Context
from cluster.plan import Step
from postgres import certificates
from postgres.scopes import dr_scope, primary_scope, scopes
from postgres.steps import archive, dr, edge, rights, scope


def steps(context: Context) -> tuple[Step, ...]:
    """The steps of the PostgreSQL side, beside the start of its servers."""
    primary, following = primary_scope(context), dr_scope(context)
    return (
        *(scope.etcd_users(context, each) for each in scopes(context) if each.etcd),
        *(scope.leader(context, each) for each in scopes(context)),
        *(scope.configuration(context, each) for each in scopes(context)),
        rights.rights(context, primary),
        *scope.standbys(context, primary),
        *(dr.steps(context, primary, following) if following else ()),
        *archive.steps(context, primary),
        edge.routes(context, primary),
        *certificates.steps(context),
    )
