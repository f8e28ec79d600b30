"""HTTP for people and programs: the live page in three languages, the JSON API and its event stream."""
