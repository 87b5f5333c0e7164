# test/bench/zipf.sh: how many hits there are if not everything fits, beside what throwing out the least
# recently used entry gives: zipf

zipf_keys=20000
zipf_requests=50000					# as many to warm up, and as many to count

bench_zipf()
{
	local before after resident remark=''
	start_server zipf "cache_ext.local_memory = '8MB'"
	at zipf sql <<-END
		CREATE EXTENSION cache_ext;
		CREATE TABLE document (id int PRIMARY KEY, body text NOT NULL);
		ALTER TABLE document ALTER body SET STORAGE EXTERNAL;
		INSERT INTO document SELECT i, repeat(md5(i::text), 125) FROM generate_series(1, $zipf_keys) i;
		VACUUM ANALYZE document;
		SELECT cache_ext.track('document');
	END
	start_case "$zipf_keys results of 4 kB, $zipf_requests requests, Zipf 1.1, cache_ext.local_memory = 8MB"
	perl test/bench/zipf.pl $zipf_keys $((2 * zipf_requests)) 1.1 >"$bench/requests"
	sed 's/.*/SELECT body FROM document WHERE id = &;/' "$bench/requests" |
		split -l $zipf_requests - "$bench/zipf_"
	at zipf cached sql -f "$bench/zipf_aa"
	before=$(at zipf counters)
	at zipf cached sql -f "$bench/zipf_ab"
	after=$(at zipf counters)

	# The other cache has as many entries.
	resident=$(at zipf value "SELECT count(*) FROM generate_series(1, $zipf_keys) id,
		cache_ext.explain('SELECT body FROM document WHERE id = ' || id) WHERE tier = 'local'")
	if [ "$resident" = 0 ]; then
		resident=2000
		remark="no entry found in shared memory"
	fi
	single ours "$(local_hit_ratio "$before" "$after")"
	single lru "$(perl test/bench/lru.pl $resident $zipf_requests <"$bench/requests")"
	row "hits from shared memory" ours % '' '' "$remark"
	row "LRU with $resident entries, simulated" lru % ours
	at zipf stop_postgres
}
