# test/bench/lru.pl CAPACITY SKIP: how often, in per cent, a cache of that many entries that throws out the
# least recently used one has what standard input asks for, after the first SKIP lines.
use strict;
use warnings;

my ($capacity, $skip) = @ARGV;
my (%used, @uses, $asked, $hits);

while (my $key = <STDIN>)
{
	if ($. > $skip)
	{
		$asked++;
		$hits++ if exists $used{$key};
	}
	$used{$key} = $.;
	push @uses, [ $key, $. ];
	while (keys %used > $capacity)
	{
		# The oldest use is of the least recently used key, or that was used again.
		my ($oldest, $when) = @{ shift @uses };
		delete $used{$oldest} if $used{$oldest} == $when;
	}
}
printf "%.2f\n", 100 * ($hits // 0) / ($asked || 1);
