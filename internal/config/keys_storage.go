package config

import "math"

// storeKeys are the keys that storage and each of storage.subPaths have.
func storeKeys() []key {
	keys := []key{
		{path: "rootDirectory", kind: parsePath, into: func(t *target) any { return &t.store.RootDirectory }},
		{path: "commit", kind: parseBool, into: func(t *target) any { return &t.store.Commit }},
		{path: "redirectBlobURL", kind: parseBool, into: func(t *target) any { return &t.store.Redirect }},
		{path: "ignoreForeign", kind: parseBool, into: func(t *target) any { return &t.store.IgnoreForeign }},
		{path: "dedupe", kind: parseBool, state: ignored, usual: true, text: "deduplication is always on, and exact: it needs no cache and no lock"},
		{path: "hydrateBlobOnRead", kind: parseBool, state: ignored, text: "has no effect: every replica reads blobs from the store"},
	}
	keys = append(keys, redirectKeys()...)
	keys = append(keys, cacheOfBlobsKeys()...)
	keys = append(keys, quotaKeys()...)
	keys = append(keys, gcKeys()...)
	keys = append(keys, driverKeys()...)
	keys = append(keys, below("storageDriver|s3", s3Keys())...)
	return append(keys, cacheKeys()...)
}

// driverKeys are the drivers of data. Without storageDriver it is local.
func driverKeys() []key {
	const alternative = "s3: GCS speaks it at https://storage.googleapis.com with HMAC keys, Azure behind a gateway such as versitygw; set regionendpoint"
	driver := func(t *target) any { return &t.store.Driver }
	return []key{
		{path: "storageDriver|s3", into: driver},
		{path: "storageDriver|local", into: driver},
		{path: "storageDriver|local.name", kind: parseText, state: silent},
		{path: "storageDriver|gcs", state: refused, text: "is a driver that is not in this version", want: alternative},
		{path: "storageDriver|azure", state: refused, text: "is a driver that is not in this version", want: alternative},
	}
}

// s3Keys are the keys of the s3 driver of distribution, which is zot's.
func s3Keys() []key {
	return []key{
		{path: "name", kind: parseText, state: silent},
		{path: "bucket", kind: parseBucket, into: func(t *target) any { return &t.store.S3.Bucket }},
		{path: "region", kind: word("a region"), into: func(t *target) any { return &t.store.S3.Region }},
		{path: "regionendpoint", kind: parseEndpoint, into: func(t *target) any { return &t.store.S3.RegionEndpoint }},
		{path: "forcepathstyle", kind: parseBool, into: func(t *target) any { return &t.store.S3.ForcePathStyle }},
		{path: "rootdirectory", kind: parsePrefix, into: func(t *target) any { return &t.store.S3.RootDirectory }},
		{path: "accesskey", kind: parseText, hidden: true, into: func(t *target) any { return &t.store.S3.AccessKey }},
		{path: "secretkey", kind: parseText, hidden: true, into: func(t *target) any { return &t.store.S3.SecretKey }},
		{path: "sessiontoken", kind: parseText, hidden: true, into: func(t *target) any { return &t.store.S3.SessionToken }},
		{path: "secure", kind: parseBool, into: func(t *target) any { return &t.store.S3.Secure }},
		{path: "skipverify", kind: parseBool, into: func(t *target) any { return &t.store.S3.SkipVerify }},
		{path: "encrypt", kind: parseBool, into: func(t *target) any { return &t.store.S3.Encrypt }},
		{path: "keyid", kind: word("a key's id"), into: func(t *target) any { return &t.store.S3.KeyID }},
		{path: "storageclass", kind: word("a storage class"), into: func(t *target) any { return &t.store.S3.StorageClass }},
		{path: "chunksize", kind: size(5<<20, 5<<30, true), into: func(t *target) any { return &t.store.S3.ChunkSize }},
		{path: "useragent", kind: word("a user agent"), into: func(t *target) any { return &t.store.S3.UserAgent }},
		{path: "usedualstack", kind: parseBool, into: func(t *target) any { return &t.store.S3.UseDualstack }},
		{path: "accelerate", kind: parseBool, into: func(t *target) any { return &t.store.S3.Accelerate }},
		{path: "usefipsendpoint", kind: parseBool, into: func(t *target) any { return &t.store.S3.UseFIPSEndpoint }},
		{path: "v4auth", kind: parseBool, state: ignored, usual: true, text: "has no effect: requests are always signed with version 4"},
		{path: "objectacl", kind: parseText, state: ignored, usual: "private", text: "has no effect: no ACL is sent, the bucket's own rules decide who may read its objects"},
		{path: "loglevel", kind: parseText, state: ignored, usual: "off", text: "has no effect: the requests to the store are not logged one by one"},
		{path: "multipartcopychunksize", kind: parseInt, state: silent}, // nothing is copied
		{path: "multipartcopymaxconcurrency", kind: parseInt, state: silent},
		{path: "multipartcopythresholdsize", kind: parseInt, state: silent},
		{path: "multipartcombinesmallpart", kind: parseBool, state: silent},
	}
}

// storageKeys are the keys that only storage itself has.
func storageKeys() []key {
	return []key{
		{path: "delete", kind: parseBool, into: func(t *target) any { return &t.config.Storage.DeleteEnabled }},
		{path: "memoryBudget", kind: size(minMemoryBudget, math.MaxInt64, true), into: func(t *target) any { return &t.config.Storage.MemoryBudget }},
		{path: "fastRestart", kind: parseBool, state: silent}, // a start is always fast
		{path: "subPaths", into: func(t *target) any { return &t.config.Storage.SubPaths }},
	}
}
