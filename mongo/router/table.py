"""Every command that the router knows. What is not here is `CommandNotFound`, never passed on."""

from mongo.router.table_cluster import CLUSTER, HERE, NOWHERE, USERS
from mongo.router.table_collections import COLLECTIONS
from mongo.router.table_documents import DOCUMENTS

SPECS = (*DOCUMENTS, *COLLECTIONS, *USERS, *CLUSTER, *HERE, *NOWHERE)
BY_NAME = {name: spec for spec in SPECS for name in (spec.name, *spec.aliases)}
