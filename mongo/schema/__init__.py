"""The declared data model on MongoDB: rendered, compared with the live servers, applied."""
