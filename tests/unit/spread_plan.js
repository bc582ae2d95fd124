// segment sessions_messages: a zone of shard-b and shard-c
sh.addShardToZone("shard-b", "sessions_messages")
sh.addShardToZone("shard-c", "sessions_messages")
// SESSION: spreads evenly; read by id
db.getSiblingDB("sessions_messages")["SESSION"].createIndex({id_session: "hashed"}, {name: "id_session_hashed"})
sh.updateZoneKeyRange("sessions_messages.SESSION", {id_session: MinKey()}, {id_session: MaxKey()}, "sessions_messages")
sh.shardCollection("sessions_messages.SESSION", {id_session: "hashed"})
// MESSAGE: a conversation stays on one shard
db.getSiblingDB("sessions_messages")["MESSAGE"].createIndex({id_session: "hashed"}, {name: "id_session_hashed"})
sh.updateZoneKeyRange("sessions_messages.MESSAGE", {id_session: MinKey()}, {id_session: MaxKey()}, "sessions_messages")
sh.shardCollection("sessions_messages.MESSAGE", {id_session: "hashed"})
// AVIS: keeps its uniqueness
sh.updateZoneKeyRange("sessions_messages.AVIS", {id_session: MinKey(), id_emetteur: MinKey()}, {id_session: MaxKey(), id_emetteur: MaxKey()}, "sessions_messages")
sh.shardCollection("sessions_messages.AVIS", {id_session: 1, id_emetteur: 1}, true)
// SIGNALEMENT: spreads evenly
db.getSiblingDB("sessions_messages")["SIGNALEMENT"].createIndex({id_signalement: "hashed"}, {name: "id_signalement_hashed"})
sh.updateZoneKeyRange("sessions_messages.SIGNALEMENT", {id_signalement: MinKey()}, {id_signalement: MaxKey()}, "sessions_messages")
sh.shardCollection("sessions_messages.SIGNALEMENT", {id_signalement: "hashed"})
// JOURNAL_AUDIT: spreads evenly
db.getSiblingDB("sessions_messages")["JOURNAL_AUDIT"].createIndex({id_audit: "hashed"}, {name: "id_audit_hashed"})
sh.updateZoneKeyRange("sessions_messages.JOURNAL_AUDIT", {id_audit: MinKey()}, {id_audit: MaxKey()}, "sessions_messages")
sh.shardCollection("sessions_messages.JOURNAL_AUDIT", {id_audit: "hashed"})
// JOURNAL_NOTIFICATION: always read by user
db.getSiblingDB("sessions_messages")["JOURNAL_NOTIFICATION"].createIndex({id_utilisateur: "hashed"}, {name: "id_utilisateur_hashed"})
sh.updateZoneKeyRange("sessions_messages.JOURNAL_NOTIFICATION", {id_utilisateur: MinKey()}, {id_utilisateur: MaxKey()}, "sessions_messages")
sh.shardCollection("sessions_messages.JOURNAL_NOTIFICATION", {id_utilisateur: "hashed"})
// SESSION_IA: spreads evenly
db.getSiblingDB("sessions_messages")["SESSION_IA"].createIndex({id_session_ia: "hashed"}, {name: "id_session_ia_hashed"})
sh.updateZoneKeyRange("sessions_messages.SESSION_IA", {id_session_ia: MinKey()}, {id_session_ia: MaxKey()}, "sessions_messages")
sh.shardCollection("sessions_messages.SESSION_IA", {id_session_ia: "hashed"})
// MESSAGE_IA: a dialogue stays on one shard
db.getSiblingDB("sessions_messages")["MESSAGE_IA"].createIndex({id_session_ia: "hashed"}, {name: "id_session_ia_hashed"})
sh.updateZoneKeyRange("sessions_messages.MESSAGE_IA", {id_session_ia: MinKey()}, {id_session_ia: MaxKey()}, "sessions_messages")
sh.shardCollection("sessions_messages.MESSAGE_IA", {id_session_ia: "hashed"})
// AVIS_IA: keeps its uniqueness
sh.updateZoneKeyRange("sessions_messages.AVIS_IA", {id_session_ia: MinKey(), id_utilisateur: MinKey()}, {id_session_ia: MaxKey(), id_utilisateur: MaxKey()}, "sessions_messages")
sh.shardCollection("sessions_messages.AVIS_IA", {id_session_ia: 1, id_utilisateur: 1}, true)
// ALERTE_MODERATION: read with the message
db.getSiblingDB("sessions_messages")["ALERTE_MODERATION"].createIndex({id_message: "hashed"}, {name: "id_message_hashed"})
sh.updateZoneKeyRange("sessions_messages.ALERTE_MODERATION", {id_message: MinKey()}, {id_message: MaxKey()}, "sessions_messages")
sh.shardCollection("sessions_messages.ALERTE_MODERATION", {id_message: "hashed"})
// afterwards each collection is one range on shard-b; shard-c takes none at once
// the balancer moves 128 MB at a time, one move a shard, while two shards differ by 384 MB of a collection (MongoDB's defaults); no shard beside these gets any
// queries that name the shard key ask one shard, others ask all of them
// `_id` is unique on each shard alone: ids are UUIDs; unique indexes hold over all shards
// a sharded collection stays sharded; `sh.stopBalancer()` halts the moves
