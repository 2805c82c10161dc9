# Perl's LWP: sends TE and Connection: TE, and keeps no connection unless told.
use strict;
use warnings;
use LWP::UserAgent;

my ($base, $file) = @ARGV;
my $agent = LWP::UserAgent->new(timeout => 50, keep_alive => 1);
open my $handle, '<:raw', $file or die $!;
my $body = do { local $/; <$handle> };
my @answers = (
    $agent->get("$base/plain"),
    $agent->post("$base/upload", Content_Type => 'application/octet-stream', Content => $body),
    $agent->post("$base/throttled", { x => 1 }),
);
for my $answer (@answers) {
    die $answer->status_line unless $answer->code == 200;
}
