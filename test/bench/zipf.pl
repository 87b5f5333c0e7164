# test/bench/zipf.pl KEYS COUNT EXPONENT: COUNT numbers from 1 to KEYS, the same ones each time, of which k
# is as frequent as 1 / k ** EXPONENT.
use strict;
use warnings;

my ($keys, $count, $exponent) = @ARGV;
my @below = (0);				# $below[k]: how likely a number is that is no larger than k
push @below, $below[-1] + 1 / $_**$exponent for 1 .. $keys;

srand(1);
for (1 .. $count)
{
	my $at = rand($below[-1]);
	my ($low, $high) = (1, $keys);
	while ($low < $high)
	{
		my $middle = int(($low + $high) / 2);
		if ($below[$middle] <= $at) { $low = $middle + 1 }
		else { $high = $middle }
	}
	print "$low\n";
}
