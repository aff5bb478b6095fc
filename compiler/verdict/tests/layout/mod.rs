//! A node's texts in the layout that nodes run, written by hand as `iptables-save` prints them.

/// Pods a=10.1.0.1 (egress to port 80, 443 of b, and to web's named port), b=10.1.0.2 (ingress on 80 from a);
/// c=10.1.0.3 is not isolated.
pub(crate) const RULES_V4: &str = r#"*filter
:CM-E-00000000000000aa - [0:0]
:CM-EGRESS - [0:0]
:CM-EGRESS-a - [0:0]
:CM-FORWARD - [0:0]
:CM-I-00000000000000bb - [0:0]
:CM-INGRESS - [0:0]
:CM-INVALID - [0:0]
-A CM-FORWARD -m conntrack --ctstate ESTABLISHED -j RETURN
-A CM-FORWARD -p icmp -m conntrack --ctstate RELATED -j RETURN
-A CM-FORWARD -p tcp -m tcp ! --tcp-flags FIN,SYN,RST,ACK SYN -m set --match-set cm4-CUT src,src,dst -j REJECT --reject-with tcp-reset
-A CM-FORWARD ! -p tcp -m set --match-set cm4-CUT src,src,dst -j DROP
-A CM-FORWARD -p tcp -m tcp ! --tcp-flags FIN,SYN,RST,ACK SYN -m set --match-set cm4-CUT dst,dst,src -j REJECT --reject-with tcp-reset
-A CM-FORWARD ! -p tcp -m set --match-set cm4-CUT dst,dst,src -j DROP
-A CM-FORWARD -i cni0 -o cni0 -m addrtype --dst-type BROADCAST,MULTICAST -j DROP
-A CM-FORWARD -s 10.1.0.0/24 -m set ! --match-set cm4-local src -j DROP
-A CM-FORWARD -m conntrack --ctstate INVALID -g CM-INVALID
-A CM-FORWARD -m set --match-set cm4-egress src -j CM-EGRESS
-A CM-FORWARD -m set --match-set cm4-ingress dst -g CM-INGRESS
-A CM-INVALID -m set --match-set cm4-egress src -j DROP
-A CM-INVALID -m set --match-set cm4-ingress dst -j DROP
-A CM-INVALID -j RETURN
-A CM-EGRESS -s 10.1.0.128/25 -j DROP
-A CM-EGRESS -s 10.1.0.0/25 -g CM-EGRESS-a
-A CM-EGRESS -j DROP
-A CM-EGRESS-a -s 10.1.0.1/32 -d 10.1.0.1/32 -j RETURN
-A CM-EGRESS-a -s 10.1.0.1/32 -g CM-E-00000000000000aa
-A CM-EGRESS-a -j DROP
-A CM-E-00000000000000aa -d 10.1.0.2/32 -p tcp -m multiport --dports 80,443 -m comment --comment "shop/web egress[0]" -j RETURN
-A CM-E-00000000000000aa -m set --match-set cm4-named dst,dst -j RETURN
-A CM-E-00000000000000aa -d 192.0.2.0/24 -m set --match-set cm4-nets dst -j RETURN
-A CM-E-00000000000000aa -m limit --limit 10/sec -j NFLOG --nflog-prefix cm-deny --nflog-group 7
-A CM-E-00000000000000aa -j DROP
-A CM-INGRESS -s 10.1.0.2/32 -d 10.1.0.2/32 -j RETURN
-A CM-INGRESS -d 10.1.0.2/32 -g CM-I-00000000000000bb
-A CM-INGRESS -j DROP
-A CM-I-00000000000000bb -s 10.1.0.1/32 -p tcp -m tcp --dport 80 -j RETURN
-A CM-I-00000000000000bb -j DROP
COMMIT
"#;

/// Pod fd00::1 may neither send nor receive, but for neighbour discovery.
pub(crate) const RULES_V6: &str = "*filter
:CM-FORWARD - [0:0]
-A CM-FORWARD -m conntrack --ctstate ESTABLISHED -j RETURN
-A CM-FORWARD -p ipv6-icmp -m icmp6 --icmpv6-type 135 -m hl --hl-eq 255 -j RETURN
-A CM-FORWARD -p ipv6-icmp -m icmp6 --icmpv6-type 136 -m hl --hl-eq 255 -j RETURN
-A CM-FORWARD -p ipv6-icmp -m conntrack --ctstate RELATED -j RETURN
-A CM-FORWARD -m set --match-set cm6-isolated src -j DROP
-A CM-FORWARD -m set --match-set cm6-isolated dst -j DROP
COMMIT
";

/// The sets of both.
pub(crate) const SETS: &str = "create cm4-CUT hash:ip,port,ip family inet timeout 86400
add cm4-CUT 10.1.0.3,tcp:5555,10.9.0.9 timeout 100
add cm4-CUT 10.1.0.3,udp:5555,10.9.0.9 timeout 100
create cm4-egress hash:ip family inet
add cm4-egress 10.1.0.1
add cm4-egress 10.1.0.77
create cm4-ingress hash:ip family inet
add cm4-ingress 10.1.0.2
create cm4-local hash:ip family inet
add cm4-local 10.1.0.1
add cm4-local 10.1.0.2
add cm4-local 10.1.0.3
add cm4-local 10.1.0.77
create cm4-named hash:ip,port family inet
add cm4-named 10.2.0.1,tcp:8080
add cm4-named 10.2.0.1,sctp:9
create cm4-nets hash:net family inet
add cm4-nets 192.0.2.0/25
create cm6-isolated hash:ip family inet6
add cm6-isolated fd00::1
";
