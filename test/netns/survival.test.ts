// What runs goes on: no crash or restart of an agent, the registry or etcd loses a packet of a flow that is there, and
// afterwards everything is as it was.
import assert from 'node:assert/strict';
import test, { type TestContext } from 'node:test';
import type { Agent } from '#test/support/lab/agent.ts';
import { etcdKeys, etcdPid } from '#test/support/lab/etcd.ts';
import { emptyFootprint, type Footprint, footprintOf, programsOn } from '#test/support/lab/footprint.ts';
import type { Finished } from '#test/support/lab/process.ts';
import { createLab, type Lab } from '#test/support/lab/lab.ts';
import type { Pinging } from '#test/support/lab/ping.ts';
import { bothDirect, direct, replyThat, throughHub } from '#test/support/lab/paths.ts';
import { binary } from '#test/support/lab/service.ts';
import { hubEndpoint, officeA, officeB, sites } from '#test/support/lab/worlds.ts';
import { until } from '#test/support/poll.ts';
import { createOverlay, type Overlay } from '#test/support/programs.ts';

interface World {
  readonly lab: Lab;
  readonly overlay: Overlay;
  readonly hub: Agent;
  readonly a: Agent;
  readonly b: Agent;
  readonly c: Agent;
}

/** a and b are direct; a and c are kept on the hub by a cut. */
async function createWorld(t: TestContext): Promise<World> {
  const lab = await createLab(sites('restricted'));
  t.after(() => lab.dispose());
  const overlay = await createOverlay(lab, {
    init: [
      ...['--pool', '10.77.0.0/24', '--pool6', 'fd77:7::/64', '--summary', '10.10.0.0/16'],
      ...['--idle-timeout', '600s'],
    ],
  });
  t.after(() => overlay.dispose());
  await lab.cut('nat-a', 'c');
  const hub = await overlay.join('hub', { role: 'hub', endpoint: hubEndpoint });
  const a = await overlay.join('a', { prefixes: [officeA] });
  const b = await overlay.join('b', { prefixes: [officeB] });
  const c = await overlay.join('c');
  await overlay.settled();
  return { lab, overlay, hub, a, b, c };
}

test('flows survive their programs', async (t) => {
  const world = await createWorld(t);
  const { lab, overlay, hub, a, b, c } = world;
  const explain = (): Promise<string> => lab.state();
  const everyone = [hub, a, b, c];

  const straight = a.host.startPing({ to: b.address, rate: 100 });
  await replyThat(lab, straight, { came: direct, what: 'without a hop' });
  await bothDirect(lab, a, b);
  const around = c.host.startPing({ to: a.address, rate: 100 });
  await replyThat(lab, around, { came: throughHub, what: 'through the hub' });
  await until('the cut pair gives up', async () => (await c.peer('a'))?.state === 'failed', {
    within: 60_000,
    every: 250,
    explain,
  });

  /** Both flows get this many more replies. */
  const flowsGoOn = async (packets: number): Promise<void> => {
    const [s, r] = [straight.replies().length, around.replies().length];
    const enough = (): boolean => straight.replies().length >= s + packets && around.replies().length >= r + packets;
    await until('both flows go on', enough, { within: packets * 10 + 20_000, explain });
  };

  const footprints = async (): Promise<Record<string, Footprint>> => {
    const all: Record<string, Footprint> = {};
    for (const agent of everyone) all[agent.name] = await footprintOf(agent.host);
    return all;
  };
  const before = await footprints();
  const keysBefore = await etcdKeys(overlay.registry.host);
  const registryBefore = await footprintOf(overlay.registry.host);

  const known = new Map<Pinging, number>();
  /** No packet of either flow was lost since the last look. */
  const nothingLost = (): void => {
    for (const [name, flow] of [
      ['direct', straight],
      ['through the hub', around],
    ] as const) {
      const missing = flow.missing().filter((sequence) => sequence > (known.get(flow) ?? 0));
      known.set(flow, missing.at(-1) ?? known.get(flow) ?? 0);
      assert.deepEqual(missing, [], `lost of the flow ${name}`);
    }
  };

  /** As before on every host and in etcd, with all sessions open. */
  const converged = async (): Promise<void> => {
    await overlay.settled();
    await bothDirect(lab, a, b, 60_000);
    let now = await footprints();
    const same = async (): Promise<boolean> => {
      now = await footprints();
      return JSON.stringify(now) === JSON.stringify(before);
    };
    await until('every host is as it was', same, { within: 20_000, every: 500 }).catch(() => {
      assert.deepEqual(now, before);
    });
    await until('etcd holds the same keys', async () => sameLines(await etcdKeys(overlay.registry.host), keysBefore), {
      within: 20_000,
      every: 500,
      explain: async () => `${(await etcdKeys(overlay.registry.host)).join('\n')}\nbefore:\n${keysBefore.join('\n')}`,
    });
    assert.deepEqual(await footprintOf(overlay.registry.host), registryBefore);
    await flowsGoOn(50);
    nothingLost();
  };

  await t.test('the agent of a spoke is killed and started again', async () => {
    await a.stop('SIGKILL');
    await until('the other end notices', async () => (await b.peer('a'))?.path === 'hub', {
      within: 20_000,
      every: 250,
      explain,
    });
    await flowsGoOn(200);
    await a.start();
    await converged();
  });

  await t.test('the agent of a spoke is stopped and started again', async () => {
    assert.equal(await a.stop('SIGTERM'), 0);
    await flowsGoOn(200);
    await a.start();
    await converged();
  });

  await t.test("the hub's agent is killed and started again", async () => {
    await hub.stop('SIGKILL');
    await flowsGoOn(300);
    await hub.start();
    await converged();
  });

  await t.test('the registry is stopped and started again', async () => {
    const began = Date.now();
    assert.equal(await overlay.registry.stop('SIGTERM'), 0);
    assert.ok(Date.now() - began < 5000, 'it stops within 5 s');
    await flowsGoOn(300);
    await overlay.registry.start();
    await converged();
  });

  await t.test('the registry is killed and started again', async () => {
    await overlay.registry.stop('SIGKILL');
    await until('its etcd ends with it', async () => (await programsOn(overlay.registry.host)).length === 0, {
      within: 10_000,
    });
    await flowsGoOn(200);
    await overlay.registry.start();
    await converged();
  });

  await t.test('etcd is killed', async () => {
    const old = await etcdPid(overlay.registry.host);
    assert.ok(old !== undefined);
    process.kill(old, 'SIGKILL');
    await flowsGoOn(100);
    await until(
      'the registry starts another',
      async () => {
        const pid = await etcdPid(overlay.registry.host);
        return pid !== undefined && pid !== old;
      },
      { within: 20_000, explain: () => overlay.registry.output() },
    );
    const create = (): Promise<Finished> => overlay.admin('token', 'create', '-o', 'json');
    const made = await until(
      'tokens can be created',
      async () => {
        const done = await create();
        return done.code === 0 && done.stdout;
      },
      { within: 20_000, every: 250 },
    );
    const { id } = JSON.parse(made) as { readonly id: string };
    assert.equal((await overlay.admin('token', 'revoke', id)).code, 0);
    await converged();
  });

  await t.test('no packet of either flow was lost', async () => {
    for (const flow of [straight, around]) {
      const { sent, lost } = await flow.finish();
      t.diagnostic(`${String(sent)} sent, ${String(lost.length)} lost`);
      assert.deepEqual(lost, []);
    }
  });

  await t.test('down takes everything away, and a start brings it back', async () => {
    await a.stop('SIGTERM');
    await down(a, 'down');
    assert.deepEqual(await footprintOf(a.host), emptyFootprint);
    await a.start();
    const ping = a.host.startPing({ to: b.address, rate: 20 });
    await replyThat(lab, ping, { came: direct, what: 'without a hop' });
    await ping.finish();
  });

  await t.test('leave gives everything back', async () => {
    const nodes = (await overlay.ask('show', 'nodes')) as readonly { readonly id: string; readonly name: string }[];
    const id = nodes.find((node) => node.name === 'b')?.id;
    assert.ok(id !== undefined);
    await b.stop('SIGTERM');
    await down(b, 'leave');
    assert.deepEqual(await footprintOf(b.host), emptyFootprint);
    const own = [
      `/${id}`,
      '/claims/name/b',
      `/claims/address/${b.address}`,
      `/claims/address/${b.address6}`,
      '/10.10.2.0_24',
    ];
    const left = (await etcdKeys(overlay.registry.host)).filter((key) => own.some((end) => key.endsWith(end)));
    assert.deepEqual(left, [`/dmwg/v1/test/revoked/${id}`], 'nothing but the note that its certificate is void');
    assert.ok(
      !((await overlay.ask('show', 'nodes')) as readonly { readonly name: string }[]).some((node) => node.name === 'b'),
    );
    const peersBefore = before['hub']?.peers.length ?? 0;
    const forgotten = async (): Promise<boolean> => (await footprintOf(hub.host)).peers.length < peersBefore;
    await until('the hub has forgotten it', forgotten, { within: 20_000, explain });
  });
});

async function down(agent: Agent, command: 'down' | 'leave'): Promise<void> {
  const places = [
    '--state-dir',
    agent.stateDir,
    '--interface-prefix',
    agent.host.interfacePrefix,
    '--run-dir',
    `${agent.stateDir}/run`,
  ];
  await agent.host.run([binary('dmwg'), command, ...places]);
}

function sameLines(a: readonly string[], b: readonly string[]): boolean {
  return a.join('\n') === b.join('\n');
}
