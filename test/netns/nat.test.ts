// What becomes of pairs of spokes, by the NATs between them.
import assert from 'node:assert/strict';
import test from 'node:test';
import type { Agent, PeerStatus } from '#test/support/lab/agent.ts';
import { createLab } from '#test/support/lab/lab.ts';
import { bothDirect, direct, replyThat, sparesHub, throughHub } from '#test/support/lab/paths.ts';
import type { HostPlan, LabPlan, NatKind, NatPlan } from '#test/support/lab/plan.ts';
import { hubAddress, hubEndpoint, registryAddress } from '#test/support/lab/worlds.ts';
import { until } from '#test/support/poll.ts';
import { createOverlay } from '#test/support/programs.ts';

/** Spokes of each kind, two behind one NAT, and one on the internet. */
const sites: readonly { readonly nat: string; readonly kind: NatKind; readonly spokes: readonly string[] }[] = [
  { nat: 'nat-l1', kind: 'lax', spokes: ['lax1'] },
  { nat: 'nat-l2', kind: 'lax', spokes: ['lax2'] },
  { nat: 'nat-s1', kind: 'symmetric', spokes: ['sym1'] },
  { nat: 'nat-s2', kind: 'symmetric', spokes: ['sym2'] },
  { nat: 'nat-r1', kind: 'restricted', spokes: ['home1', 'home2'] },
  { nat: 'nat-r2', kind: 'restricted', spokes: ['away'] },
];

function plan(): LabPlan {
  const hosts: Record<string, HostPlan> = {
    registry: { attach: { internet: registryAddress } },
    hub: { attach: { internet: hubAddress } },
    open: { attach: { internet: '198.51.100.7' } },
  };
  const nats: Record<string, NatPlan> = {};
  for (const [index, { nat, kind, spokes }] of sites.entries()) {
    const lan = `lan${String(index)}`;
    const net = `192.168.${String(20 + index)}`;
    nats[nat] = { kind, attach: { internet: `203.0.113.${String(20 + index)}`, [lan]: `${net}.1/24` } };
    for (const [host, name] of spokes.entries()) {
      hosts[name] = { attach: { [lan]: `${net}.${String(10 + host)}/24` }, gateway: `${net}.1` };
    }
  }
  return { hosts, nats };
}

test('pairs of spokes behind every kind of NAT', async (t) => {
  const lab = await createLab(plan());
  t.after(() => lab.dispose());
  const overlay = await createOverlay(lab);
  t.after(() => overlay.dispose());
  const hub = await overlay.join('hub', { role: 'hub', endpoint: hubEndpoint });
  const agents = new Map<string, Agent>();
  for (const name of [...sites.flatMap(({ spokes }) => spokes), 'open']) agents.set(name, await overlay.join(name));
  await overlay.settled();
  const agent = (name: string): Agent => {
    const found = agents.get(name);
    assert.ok(found, name);
    return found;
  };

  const turnsDirect = async (from: Agent, to: Agent): Promise<void> => {
    const ping = from.host.startPing({ to: to.address, rate: 50 });
    const first = await replyThat(lab, ping, { came: () => true, what: 'at all' });
    const switched = await replyThat(lab, ping, { came: direct, what: 'without a hop' });
    await bothDirect(lab, from, to);
    assert.deepEqual((await ping.finish()).lost, []);
    assert.equal(first.sequence, 1);
    assert.ok(throughHub(first), 'the first packet went through the hub');
    t.diagnostic(
      `${from.name}-${to.name}: direct ${String(Math.round(switched.at - first.at))} ms after the first reply`,
    );
    await sparesHub(lab, hub, from, to);
  };

  /** Stays on the hub with a reason while attempts are made and given up. */
  const staysOnHub = async (from: Agent, to: Agent): Promise<void> => {
    const ping = from.host.startPing({ to: to.address, rate: 50 });
    let failed: PeerStatus | undefined;
    await until(
      `${from.name} gives the attempt up`,
      async () => {
        failed = await from.peer(to.name);
        return failed?.state === 'failed';
      },
      { within: 40_000, every: 250, explain: () => lab.state() },
    );
    await until('it goes on', () => ping.replies().length > 500, { within: 30_000 });
    const { lost, replies } = await ping.finish();
    assert.deepEqual(lost, []);
    assert.deepEqual(
      replies.filter((reply) => !throughHub(reply)),
      [],
      'it does not flap',
    );
    assert.equal(failed?.path, 'hub');
    assert.match(failed.reason ?? '', /\S+ \S+/, 'status says why');
    t.diagnostic(`${from.name}-${to.name}: ${failed.reason ?? ''}`);
  };

  await t.test('two NATs that let unsolicited packets make conntrack entries', async () => {
    const [one, two] = [agent('lax1'), agent('lax2')];
    // Whose packet comes first makes the other's NAT take another port: the ends must start within the latency of the path.
    if (await lab.delay(20)) await turnsDirect(one, two);
    else {
      const { lost } = await one.host.ping({ to: two.address, rate: 100, count: 300 });
      assert.deepEqual(lost, [], 'without latency the pair may stay on the hub, but works');
    }
    await lab.delay(0);
  });
  await t.test('two port-restricted NATs', () => turnsDirect(agent('home1'), agent('away')));
  await t.test('a port-restricted NAT and none', () => turnsDirect(agent('away'), agent('open')));
  await t.test('none, and a port-restricted NAT', () => turnsDirect(agent('open'), agent('home2')));
  await t.test('a symmetric NAT and none', () => turnsDirect(agent('sym1'), agent('open')));
  await t.test('two spokes behind one NAT talk over their LAN', async () => {
    const [one, two] = [agent('home1'), agent('home2')];
    await turnsDirect(one, two);
    assert.match((await one.peer(two.name))?.endpoint ?? '', /^192\.168\.24\.11:/);
    const outside = await lab.host('nat-r1').count('forward', 'ip saddr 192.168.24.0/24 ip daddr 203.0.113.24');
    await one.host.ping({ to: two.address, rate: 100, count: 50 });
    assert.equal((await outside.read()).packets, 0);
  });
  await t.test('two symmetric NATs cannot be punched', () => staysOnHub(agent('sym1'), agent('sym2')));
  await t.test('nothing gets from one public address to the other', async () => {
    await lab.cut('nat-l1', 'nat-r2');
    const before = await lab.dropped();
    await staysOnHub(agent('lax1'), agent('away'));
    assert.ok((await lab.dropped()) > before, 'it was tried');
    await lab.heal('nat-l1', 'nat-r2');
  });
});
