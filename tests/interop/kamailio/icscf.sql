CREATE TABLE nds_trusted_domains (id INTEGER PRIMARY KEY, trusted_domain TEXT NOT NULL);
CREATE TABLE s_cscf (id INTEGER PRIMARY KEY, name TEXT NOT NULL, s_cscf_uri TEXT NOT NULL);
CREATE TABLE s_cscf_capabilities (id INTEGER PRIMARY KEY, id_s_cscf INTEGER NOT NULL, capability INTEGER NOT NULL);
INSERT INTO nds_trusted_domains VALUES (1,'@DOMAIN@');
INSERT INTO s_cscf VALUES (1,'S-CSCF 1','sip:@S@:6060');
INSERT INTO s_cscf_capabilities VALUES (1,1,0),(2,1,1);
