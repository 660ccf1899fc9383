// Two replicas of the registry and two hubs: each spoke has its session with another replica and its traffic by another hub, whose
// own session is with the replica that is not the spoke's. Then a replica dies for good.
import assert from 'node:assert/strict';
import { cp } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'node:test';
import type { Agent } from '#test/support/lab/agent.ts';
import { createLab, type Lab } from '#test/support/lab/lab.ts';
import { bothDirect, direct, replyThat, sparesHub, throughHub } from '#test/support/lab/paths.ts';
import { binary, createService } from '#test/support/lab/service.ts';
import { hubEndpoint, registryAddress, sites } from '#test/support/lab/worlds.ts';
import { slowness, until } from '#test/support/poll.ts';
import { createOverlay, type Overlay } from '#test/support/programs.ts';

const secondHub = '198.51.100.4';
const secondRegistry = '198.51.100.5';
const etcdUrl = `http://${registryAddress}:2379`;
const one = `${registryAddress}:7443`;
const two = `${secondRegistry}:7443`;

test('two replicas and two hubs', async (t) => {
  const world = sites('restricted');
  const more = { hub2: { attach: { internet: secondHub } }, registry2: { attach: { internet: secondRegistry } } };
  const lab = await createLab({ ...world, hosts: { ...world.hosts, ...more } });
  t.after(() => lab.dispose());
  const overlay = await createOverlay(lab, {
    init: ['--pool', '10.77.0.0/24'],
    registryArguments: ['--etcd', etcdUrl, '--advertise', one, '--public', one],
    before: async (dir) => {
      await startEtcd(lab, join(dir, 'etcd'));
    },
  });
  t.after(() => overlay.dispose());
  const second = await startSecond(lab, overlay);
  t.after(() => second.stop());
  const explain = (): Promise<string> => lab.state();
  const atSecond = (yaml: string): string => yaml.replace(one, two);

  // At their first hub each, from which nothing moves them as both hubs are as good.
  const hub = await overlay.join('hub', { role: 'hub', endpoint: hubEndpoint, configure: atSecond });
  const hub2 = await overlay.join('hub2', { role: 'hub', endpoint: `${secondHub}:51820` });
  const equal = await overlay.admin('hub', 'set', 'hub2', 'priority', '0');
  assert.equal(equal.code, 0, equal.stderr);
  await lab.cut('nat-a', 'hub2');
  await lab.cut('nat-b', 'hub');
  const a = await overlay.join('a');
  const b = await overlay.join('b', { configure: atSecond });
  await overlay.settled();
  await lab.heal('nat-a', 'hub2');
  await lab.heal('nat-b', 'hub');
  await until(
    'each spoke has both hubs and goes by another one',
    async () => (await hubsOf(a)) === 'hub:up* hub2:up' && (await hubsOf(b)) === 'hub:up hub2:up*',
    { within: 30_000 * slowness, explain },
  );
  const registries = async (): Promise<(string | null)[]> =>
    Promise.all([hub, hub2, a, b].map(async (agent) => (await agent.status()).registry.endpoint));
  assert.deepEqual(await registries(), [two, one, one, two]);

  await t.test('the indication, the request and the reply find their way, and the pair turns direct', async () => {
    const ping = a.host.startPing({ to: b.address, rate: 100 });
    await replyThat(lab, ping, { came: throughHub, what: 'through a hub' });
    await replyThat(lab, ping, { came: direct, what: 'without a hop' });
    await bothDirect(lab, a, b);
    assert.deepEqual((await ping.finish()).lost, []);
    await sparesHub(lab, hub, a, b);
    await sparesHub(lab, hub2, a, b);
    const rejoined = (await a.peer('b'))?.state;
    assert.equal(rejoined, 'direct');
  });

  await t.test('a replica that is drained: its nodes go to the other one, and it takes none', async () => {
    const ping = a.host.startPing({ to: b.address, rate: 100 });
    const drained = await overlay.admin('drain', two);
    assert.equal(drained.code, 0, drained.stderr);
    assert.match(drained.stdout, /safe to stop/);
    const at = async (wanted: string): Promise<void> => {
      await until(`all are with ${wanted}`, async () => (await registries()).every((each) => each === wanted), {
        within: 30_000 * slowness,
        explain,
      });
    };
    await at(one);
    const last = await overlay.admin('drain', one);
    assert.equal(last.code, 1);
    assert.match(last.stderr, /no other replica/);
    await b.stop();
    await b.start();
    await at(one);
    const back = await overlay.admin('drain', two, '--off');
    assert.equal(back.code, 0, back.stderr);
    assert.equal((await overlay.admin('drain', one)).code, 0);
    await at(two);
    assert.equal((await overlay.admin('drain', one, '--off')).code, 0);
    assert.deepEqual((await ping.finish()).lost, []);
  });

  await t.test(
    'a replica that dies: who knew only it from its configuration goes to the other one, also anew',
    async () => {
      const known = async (): Promise<string> =>
        (await a.status()).registry.replicas
          .map(({ address }) => address)
          .sort()
          .join();
      await until('both replicas are known', async () => (await known()) === [one, two].join(), {
        within: 20_000 * slowness,
        explain,
      });
      const ping = a.host.startPing({ to: b.address, rate: 50 });
      await overlay.registry.stop('SIGKILL');
      await until('all are with the second replica', async () => (await registries()).every((each) => each === two), {
        within: 30_000 * slowness,
        explain,
      });
      await a.stop('SIGKILL');
      await a.start();
      await until('it comes back to the second replica', async () => (await registries())[2] === two, {
        within: 30_000 * slowness,
        explain,
      });
      await bothDirect(lab, a, b);
      assert.deepEqual((await ping.finish()).lost, []);
    },
  );
});

/** A state dir of its own with the same authority, and the same etcd. */
async function startSecond(lab: Lab, overlay: Overlay) {
  const stateDir = overlay.nodeDir('registry2');
  await cp(overlay.registry.stateDir, stateDir, { recursive: true, filter: (path) => !path.endsWith('.sock') });
  const more = ['--listen', '0.0.0.0:7443', '--etcd', etcdUrl, '--advertise', two, '--public', two];
  const second = createService({
    host: lab.host('registry2'),
    stateDir,
    env: {},
    argv: [binary('dmwg-registry'), '--state-dir', stateDir, ...more],
    isReady: (log) => log.some((line) => line.msg === 'ready'),
  });
  await second.start();
  return second;
}

async function startEtcd(lab: Lab, dir: string): Promise<void> {
  const host = lab.host('registry');
  const peers = `http://${registryAddress}:2380`;
  const argv = ['etcd', '--name', 'one', '--data-dir', dir, '--log-level', 'error'];
  const clients = ['--listen-client-urls', etcdUrl, '--advertise-client-urls', etcdUrl];
  const cluster = [
    '--listen-peer-urls',
    peers,
    '--initial-advertise-peer-urls',
    peers,
    '--initial-cluster',
    `one=${peers}`,
  ];
  const etcd = host.spawn([...argv, ...clients, ...cluster]);
  await until(
    'etcd answers',
    async () => (await host.runAny(['etcdctl', '--endpoints', etcdUrl, 'get', 'x'])).code === 0,
    {
      within: 20_000 * slowness,
      explain: () => etcd.stderr(),
    },
  );
}

/** "hub:up* hub2:up": the active one has the star. */
async function hubsOf(agent: Agent): Promise<string> {
  const { hubs } = await agent.status();
  const sorted = [...hubs].sort((first, other) => (first.node < other.node ? -1 : 1));
  return sorted.map((one) => `${one.node}:${one.state}${one.active ? '*' : ''}`).join(' ');
}
