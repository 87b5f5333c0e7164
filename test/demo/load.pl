# test/demo/load.pl: reads what `apt-cache dumpavail` prints, writes SQL that loads it with COPY.
#
# A relation such as "Depends: a (>= 1) | b, c" gives one row for each name in it.
use strict;
use warnings;

my @kinds = ('Depends', 'Pre-Depends', 'Recommends', 'Suggests');
my (@packages, @dependencies);

sub copy_text
{
	my ($value) = @_;
	return '\N' unless defined $value;
	$value =~ s/([\\])/\\$1/g;
	$value =~ s/[\t\n\r]+/ /g;
	return $value;
}

$/ = '';    # a paragraph a package
while (my $paragraph = <STDIN>)
{
	my %field = $paragraph =~ /^([A-Za-z-]+):[ \t]*(.*)$/mg;
	my $name = $field{Package} // next;
	push @packages, join("\t", map { copy_text($_) } $name,
		@field{qw(Version Section Maintainer Installed-Size Size Description)}) . "\n";
	for my $kind (@kinds)
	{
		my %seen;
		for my $relation (split /[,|]/, $field{$kind} // '')
		{
			next unless $relation =~ /^\s*([a-z0-9][a-z0-9+.-]*)/;
			push @dependencies, "$name\t$kind\t$1\n" unless $seen{$1}++;
		}
	}
}

print "COPY package (name, version, section, maintainer, installed_size, download_size, description)",
  " FROM STDIN;\n", @packages, "\\.\n";
print "COPY dependency (package, kind, depends_on) FROM STDIN;\n", @dependencies, "\\.\n";
