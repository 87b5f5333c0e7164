#!/usr/bin/env python3
# test/examples/service.py SOCKET DATABASE: a service that shares the database's Redis.
#
# It reads rows that `cache_ext.attach` keeps there, and reads and writes values, counters and sessions,
# without asking PostgreSQL.  Here its requests come from standard input, one a line, as JSON arrays of a
# method's name and its arguments; it answers each with a line of JSON.
import base64
import hashlib
import json
import secrets
import sys

import msgpack
import redis


class Shared:
    def __init__(self, socket, database, prefix='cache_ext'):
        self.redis = redis.Redis(unix_socket_path=socket)
        self.names = f'{prefix}:{database}'

    # Rows.  What describes the entry begins with "_"; where nothing else is in it, there is no such row.

    def row(self, key):
        stored = self.redis.get(f'{self.names}:row:{key}')
        if stored is None:
            return None                 # not known here: ask PostgreSQL
        entry = msgpack.unpackb(stored, timestamp=3)
        return {column: value for column, value in entry.items() if not column.startswith('_')}

    # Values and counters.

    def get(self, key):
        stored = self.redis.get(f'{self.names}:kv:{key}')
        return None if stored is None else msgpack.unpackb(stored)

    def set(self, key, value, seconds):
        return self.redis.set(f'{self.names}:kv:{key}', msgpack.packb(value), ex=seconds)

    def incr(self, key):
        return self.redis.hincrby(f'{self.names}:kv:{key}', 'n', 1)

    # Sessions.  The token's hash leads to the user, and the user's key has the session.

    def session_create(self, user, data, seconds):
        token = base64.urlsafe_b64encode(secrets.token_bytes(32)).rstrip(b'=').decode()
        token_hash = hashlib.sha256(token.encode()).hexdigest()
        users_key = f'{self.names}:session_user:{user}'
        ttl = seconds * 1000
        now = self.now()
        self.redis.set(f'{self.names}:session:{token_hash}', msgpack.packb([user, ttl]), px=ttl + 600_000)
        with self.redis.pipeline() as pipe:
            pipe.hset(users_key, token_hash, msgpack.packb([now, now + ttl * 1000, ttl, data]))
            pipe.pexpire(users_key, ttl, nx=True)       # a new key
            pipe.pexpire(users_key, ttl, gt=True)       # or one that would end before this session
            pipe.execute()
        return token

    def session_read(self, token):
        token_hash = hashlib.sha256(token.encode()).hexdigest()
        signpost = self.redis.get(f'{self.names}:session:{token_hash}')
        if signpost is None:
            return None
        user, _ = msgpack.unpackb(signpost)
        stored = self.redis.hget(f'{self.names}:session_user:{user}', token_hash)
        if stored is None:
            return None
        _, expires_at, _, data = msgpack.unpackb(stored)
        return {'user': user, 'data': data} if expires_at > self.now() else None

    def session_destroy_user(self, user):
        return self.redis.delete(f'{self.names}:session_user:{user}')

    def now(self):
        seconds, microseconds = self.redis.time()
        return seconds * 1_000_000 + microseconds


shared = Shared(*sys.argv[1:])
for line in sys.stdin:
    method, *arguments = json.loads(line)
    print(json.dumps(getattr(shared, method)(*arguments), sort_keys=True, default=str), flush=True)
