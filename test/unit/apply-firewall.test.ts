import assert from 'node:assert/strict';
import test from 'node:test';
import { firewallText } from '#agent/apply/firewall-text.ts';
import type { FirewallState } from '#agent/decide/host.ts';
import { parsePrefix } from '#proto/model/address.ts';
import { must } from '#proto/model/result.ts';
import { seconds } from '#proto/model/time.ts';

const hub: FirewallState = {
  indicate: ['dmwg0'],
  apart: [],
  notice: [],
  nflogGroup: 109,
  indicateAgain: seconds(30),
  account: [],
  idleTimeout: seconds(300),
  tunnels: ['dmwg0'],
  linkPrefix: must(parsePrefix('fd6d:7764:6700::/64')),
  reachable: [],
  tracked: false,
  masquerade: [],
  sources: [],
  killSwitch: undefined,
};
const spoke: FirewallState = {
  ...hub,
  indicate: [],
  notice: ['dmwg-h1'],
  account: ['dmwg0'],
  tunnels: ['dmwg0', 'dmwg-h1'],
  reachable: ['10.1.0.0/16', '10.3.0.0/16', 'fd00:1::/48'].map((text) => must(parsePrefix(text))),
};

const sets = ['indicated4', 'indicated6', 'used4', 'used6', 'fresh4', 'fresh6'].map((name) => {
  const type = `${name.endsWith('4') ? 'ipv4' : 'ipv6'}_addr`;
  return `  set ${name} {
    type ${name.startsWith('indicated') ? `${type} . ${type}` : type}
    size 65536
    flags dynamic,timeout
  }`;
});

const pair = `  chain pair {
    ip saddr . ip daddr @indicated4 return
    ip daddr 224.0.0.0/4 return
    ip daddr 255.255.255.255 return
    meta nfproto ipv4 limit rate 500/second burst 1000 packets add @indicated4 { ip saddr . ip daddr timeout 30s } add @indicated4 { ip daddr . ip saddr timeout 1s } log group 109 snaplen 64 queue-threshold 1 return
    ip6 saddr . ip6 daddr @indicated6 return
    ip6 daddr ff00::/8 return
    ip6 daddr fe80::/10 return
    ip6 daddr fd6d:7764:6700::/64 return
    meta nfproto ipv6 limit rate 500/second burst 1000 packets add @indicated6 { ip6 saddr . ip6 daddr timeout 30s } add @indicated6 { ip6 daddr . ip6 saddr timeout 1s } log group 109 snaplen 64 queue-threshold 1 return
  }`;

const accounting = (name: string, end: string) => `  chain ${name} {
    ip ${end} @fresh4 return
    ip ${end} 224.0.0.0/4 return
    ip ${end} 255.255.255.255 return
    update @used4 { ip ${end} timeout 315s } add @fresh4 { ip ${end} timeout 15s } return
    ip6 ${end} @fresh6 return
    ip6 ${end} fd6d:7764:6700::/64 return
    ip6 ${end} fe80::/10 return
    ip6 ${end} ff00::/8 return
    update @used6 { ip6 ${end} timeout 315s } add @fresh6 { ip6 ${end} timeout 15s } return
  }`;

test('a hub that had no table', () => {
  assert.equal(
    firewallText('dmwg_dmwg', undefined, hub),
    `add table inet dmwg_dmwg
delete table inet dmwg_dmwg
table inet dmwg_dmwg {
${sets.join('\n')}
  chain guard {
    iifname "dmwg0" ip ttl != 255 drop
    iifname "dmwg0" ip6 hoplimit != 255 drop
    iifname != { "dmwg0", "lo" } ip6 daddr fd6d:7764:6700::/64 drop
  }
${pair}
  chain entering {
    type filter hook input priority filter; policy accept;
    udp dport 3784 jump guard
  }
  chain forwarding {
    type filter hook forward priority filter; policy accept;
    iifname "dmwg0" oifname != "dmwg0" meta nfproto ipv4 drop
    iifname "dmwg0" oifname != "dmwg0" meta nfproto ipv6 drop
    iifname "dmwg0" oifname "dmwg0" jump pair
  }
  chain state0_v8_dmwg0___109_30__300_dmwg0_fd6dx7764x6700xx/64 {
  }
}
`,
  );
});

test('a phase 2 spoke that has a table', () => {
  assert.equal(
    firewallText('dmwg_dmwg', { ...spoke, tunnels: ['dmwg0'] }, spoke),
    `flush table inet dmwg_dmwg
${['entering', 'forwarding', 'leaving', 'guard', 'pair', 'source', 'destination'].map((name) => `delete chain inet dmwg_dmwg ${name}`).join('\n')}
delete chain inet dmwg_dmwg state0_v8___dmwg-h1_109_30_dmwg0_300_dmwg0_fd6dx7764x6700xx/64_10.1.0.0/16-10.3.0.0/16-fd00x1xx/48
table inet dmwg_dmwg {
${sets.join('\n')}
  chain guard {
    iifname { "dmwg-h1", "dmwg0" } ip ttl != 255 drop
    iifname { "dmwg-h1", "dmwg0" } ip6 hoplimit != 255 drop
    iifname != { "dmwg-h1", "dmwg0", "lo" } ip6 daddr fd6d:7764:6700::/64 drop
  }
${pair}
${accounting('source', 'saddr')}
${accounting('destination', 'daddr')}
  chain entering {
    type filter hook input priority filter; policy accept;
    udp dport 3784 jump guard
    iifname "dmwg0" jump source
  }
  chain forwarding {
    type filter hook forward priority filter; policy accept;
    iifname { "dmwg-h1", "dmwg0" } oifname != { "dmwg-h1", "dmwg0" } ip daddr != { 10.1.0.0/16, 10.3.0.0/16 } drop
    iifname { "dmwg-h1", "dmwg0" } oifname != { "dmwg-h1", "dmwg0" } ip6 daddr != { fd00:1::/48 } drop
    iifname "dmwg0" jump source
  }
  chain leaving {
    type filter hook postrouting priority filter; policy accept;
    oifname "dmwg-h1" jump pair
    oifname "dmwg0" jump destination
  }
  chain state0_v8___dmwg-h1_109_30_dmwg0_300_dmwg-h1.dmwg0_fd6dx7764x6700xx/64_10.1.0.0/16-10.3.0.0/16-fd00x1xx/48 {
  }
}
`,
  );
});
