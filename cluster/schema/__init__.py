"""The application's data model: what is stored where, with which guarantees. Pure declarations."""
