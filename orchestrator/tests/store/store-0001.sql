BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0001');
CREATE TABLE conversations (
	id VARCHAR(64) NOT NULL, 
	epoch INTEGER NOT NULL, 
	created_unix_s FLOAT NOT NULL, 
	used_unix_s FLOAT NOT NULL, 
	language VARCHAR(256) NOT NULL, 
	voice VARCHAR(256) NOT NULL, 
	persona VARCHAR(256) NOT NULL, 
	patience FLOAT NOT NULL, 
	heard_language VARCHAR(256) NOT NULL, 
	first_language VARCHAR(256) NOT NULL, 
	style JSON NOT NULL, 
	PRIMARY KEY (id)
);
INSERT INTO "conversations" VALUES('5326da8c389170d1d197ec6300ab5a1494995b83e630b4f2d7793eda078ab965',4,1764000000.5,1764000600.25,'en','nora','anchor',1.5,'de','en','{"pace": 1.25, "warmth": null, "humour": null, "energy": null}');
CREATE TABLE messages (
	conversation_id VARCHAR(64) NOT NULL, 
	turn_id INTEGER NOT NULL, 
	position INTEGER NOT NULL, 
	role VARCHAR(16) NOT NULL, 
	text TEXT NOT NULL, 
	interrupted BOOLEAN NOT NULL, 
	PRIMARY KEY (conversation_id, turn_id, position), 
	FOREIGN KEY(conversation_id, turn_id) REFERENCES turns (conversation_id, turn_id) ON DELETE CASCADE
);
INSERT INTO "messages" VALUES('5326da8c389170d1d197ec6300ab5a1494995b83e630b4f2d7793eda078ab965',1,0,'user','what is the weather like',0);
INSERT INTO "messages" VALUES('5326da8c389170d1d197ec6300ab5a1494995b83e630b4f2d7793eda078ab965',1,1,'anchor','Sunny and warm.',0);
INSERT INTO "messages" VALUES('5326da8c389170d1d197ec6300ab5a1494995b83e630b4f2d7793eda078ab965',2,0,'user','tell me a story',0);
INSERT INTO "messages" VALUES('5326da8c389170d1d197ec6300ab5a1494995b83e630b4f2d7793eda078ab965',2,1,'anchor','Once upon a time',1);
CREATE TABLE turns (
	conversation_id VARCHAR(64) NOT NULL, 
	turn_id INTEGER NOT NULL, 
	session_id VARCHAR(64) NOT NULL, 
	saved_unix_s FLOAT NOT NULL, 
	heard_ms INTEGER, 
	is_over BOOLEAN NOT NULL, 
	PRIMARY KEY (conversation_id, turn_id), 
	FOREIGN KEY(conversation_id) REFERENCES conversations (id) ON DELETE CASCADE
);
INSERT INTO "turns" VALUES('5326da8c389170d1d197ec6300ab5a1494995b83e630b4f2d7793eda078ab965',1,'0123456789ab',1764000600.25,2400,1);
INSERT INTO "turns" VALUES('5326da8c389170d1d197ec6300ab5a1494995b83e630b4f2d7793eda078ab965',2,'0123456789ab',1764000600.25,900,0);
CREATE INDEX conversations_by_use ON conversations (used_unix_s);
COMMIT;
