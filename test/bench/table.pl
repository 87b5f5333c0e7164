# test/bench/table.pl TABLE: the table of results, for people; Markdown.
use strict;
use warnings;

# Three digits that count.
sub short
{
	my ($number) = @_;
	return $number if $number eq '' || $number =~ /^-?\d+$/;
	my $size = abs($number);
	return sprintf($size >= 100 ? '%.0f' : $size >= 10 ? '%.1f' : $size >= 1 ? '%.2f' : '%.3f', $number);
}

my (@rows, @columns);
open(my $table, '<', $ARGV[0]) or die "$ARGV[0]: $!\n";
while (<$table>)
{
	chomp;
	my @fields = split(/\t/, $_, -1);
	if (!@columns)
	{
		@columns = @fields;
		next;
	}
	my %row;
	@row{@columns} = @fields;
	push @rows, \%row;
}

print <<'TEXT';

ratio: what cache_ext does in multiples of what the row does, in throughput (or hits), in rounds side
by side. Time is that of one statement: of a round over the number of statements of all clients.

TEXT
my $format = "| %-46s | %9s | %9s | %9s | %-5s | %6s | %-7s | %-3s |\n";
my $rule = sprintf($format, map { '-' x $_ } 46, 9, 9, 9, 5, 6, 7, 3);
my $case = '';
my ($targets, $met) = (0, 0);
printf $format, 'measure', 'median', 'min', 'max', 'unit', 'ratio', 'target', 'met';
print $rule;
for my $row (@rows)
{
	my $this = "$row->{group}: $row->{case}";
	printf $format, "**$row->{case}**", ('') x 7 if $this ne $case;
	$case = $this;
	printf $format, $row->{measure} . ($row->{remark} eq '' ? '' : " ($row->{remark})"),
		(map { short($row->{$_}) } qw(median min max)), $row->{unit}, short($row->{ratio}),
		$row->{target}, $row->{met};
	next if $row->{target} eq '';
	$targets++;
	$met++ if $row->{met} eq 'yes';
}
print "\n$met of $targets targets met\n" if $targets;
