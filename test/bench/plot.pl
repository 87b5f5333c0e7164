# test/bench/plot.pl TABLE: what the groups hit, protocols and clients measured, as an SVG: for each case
# a small chart of the time of one statement, on one logarithmic scale.
use strict;
use warnings;

my @measures = (
	[ qr/^hit$/, 'hit' ],
	[ qr/^SELECT 1$/, 'SELECT 1' ],
	[ qr/^Redis GET/, 'Redis GET' ],
	[ qr/^pgpool/, 'pgpool-II' ],
	[ qr/^C function/, 'C function' ],
	[ qr/^materialized/, 'materialized view' ],
	[ qr/^uncached$/, 'uncached' ]);

my (@lines, %cases, %columns);
my ($smallest, $largest);

open(my $table, '<', $ARGV[0]) or die "$ARGV[0]: $!\n";
my @names;
while (<$table>)
{
	chomp;
	my @fields = split(/\t/, $_, -1);
	if (!@names)
	{
		@names = @fields;
		next;
	}
	my %row;
	@row{@names} = @fields;
	next if $row{group} !~ /^(hit|protocols|clients)$/ || $row{median} eq '';
	next if $row{case} !~ /^(\d+) rows?, (\w+, \d+ clients?)$/;
	my ($count, $line) = ($1, $2);
	push @lines, $line if !$cases{$line};
	$columns{$count} = 1;
	for my $i (0 .. $#measures)
	{
		$cases{$line}{$count}[$i] = \%row if $row{measure} =~ $measures[$i][0];
	}
	$smallest = $row{median} if !defined $smallest || $row{median} < $smallest;
	$largest = $row{median} if !defined $largest || $row{median} > $largest;
}

my @columns = sort { $a <=> $b } keys %columns;
my ($left, $top, $width, $bar, $step, $text, $gap) = (130, 100, 170, 11, 16, 105, 15);
# Decades; the shortest bar can be seen.
my $low = int(log(($smallest // 2) / 2) / log(10));
my $high = int(log($largest // 10) / log(10)) + 1;

sub x
{
	my ($time) = @_;
	return (log($time) / log(10) - $low) / ($high - $low) * $width;
}

sub number
{
	my ($number) = @_;
	return sprintf($number >= 100 ? '%.0f' : $number >= 10 ? '%.1f' : '%.2f', $number);
}

# With its unit, from microseconds.
sub with_unit
{
	my ($time, $format) = @_;
	return $format->($time) . ' &#181;s' if $time < 1000;
	return $format->($time / 1000) . ' ms' if $time < 1000000;
	return $format->($time / 1000000) . ' s';
}

sub rows { return $_[0] == 1 ? '1 row' : "$_[0] rows" }

my $body = '';
my $y = $top;
for my $line (@lines)
{
	my @shown = grep { my $i = $_; grep { $cases{$line}{$_}[$i] } @columns } 0 .. $#measures;
	$body .= sprintf qq{<text x="16" y="%d" class="case">%s</text>\n}, $y, $line;
	$y += 10;
	for my $column (0 .. $#columns)
	{
		my $x0 = $left + $column * ($width + $text + $gap);
		for my $decade ($low .. $high)
		{
			$body .= sprintf qq{<line x1="%.1f" x2="%.1f" y1="%d" y2="%d"/>\n},
				($x0 + x(10**$decade)) x 2, $y - 2, $y + $step * @shown;
		}
		for my $j (0 .. $#shown)
		{
			my $at = $y + $j * $step;
			my $row = $cases{$line}{ $columns[$column] }[ $shown[$j] ];
			$body .= sprintf qq{<text x="%d" y="%d" class="measure">%s</text>\n}, $left - 6, $at + 10,
				$measures[ $shown[$j] ][1] if $column == 0;
			next if !$row;
			my $end = x($row->{median});
			$body .= sprintf qq{<rect x="%.1f" y="%d" width="%.1f" height="%d"%s/>\n}, $x0, $at, $end, $bar,
				$row->{measure} eq 'hit' ? ' class="hit"' : '';
			$body .= sprintf qq{<text x="%.1f" y="%d">%s%s</text>\n}, $x0 + $end + 5, $at + 10,
				with_unit($row->{median}, \&number),
				$row->{remark} ne '' ? " <tspan>$row->{remark}</tspan>" :
				$row->{ratio} ne '' ? ' <tspan>&#215;' . number($row->{ratio}) . '</tspan>' : '';
		}
	}
	$y += $step * @shown + 28;
}

# The scale and the numbers of rows, above all of it.
my $head = '';
for my $column (0 .. $#columns)
{
	my $x0 = $left + $column * ($width + $text + $gap);
	$head .= sprintf qq{<text x="%d" y="%d" class="case">%s</text>\n},
		$x0, $top - 34, rows($columns[$column]);
	for my $decade ($low .. $high)
	{
		next if ($decade - $low) % 2;
		$head .= sprintf qq{<text x="%.1f" y="%d" class="scale">%s</text>\n},
			$x0 + x(10**$decade), $top - 18, with_unit(10**$decade, sub { "$_[0]" });
	}
}

my $all = $left + (@columns || 1) * ($width + $text + $gap);
printf <<'SVG', $all, $y, $all, $y, $head . $body;
<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d">
<style>
text { font: 11px sans-serif; fill: #333 }
tspan { fill: #888 }
line { stroke: #ddd }
rect { fill: #b8bfc6 }
.hit { fill: #2166ac }
.title { font: bold 15px sans-serif }
.case { font-weight: bold }
.measure { text-anchor: end }
.scale { text-anchor: middle; fill: #888 }
</style>
<rect width="100%%" height="100%%" style="fill: white"/>
<text x="16" y="24" class="title">Time of one statement, logarithmic scale</text>
<text x="16" y="42">&#215;: how many times as many statements the hit answers (median of rounds side by side)</text>
%s</svg>
SVG
