import assert from 'node:assert/strict';
import test from 'node:test';
import { betterThan, choiceAfter, registryChoices } from '#agent/decide/registry-choice.ts';
import { registryStatus, type RegistryStatus } from '#agent/decide/registry-status.ts';
import type { AgentState } from '#agent/decide/state.ts';
import type { OverlayConfig } from '#proto/model/session.ts';
import type { Instant } from '#proto/model/time.ts';
import { nodeId } from '#test/support/registry-fixtures.ts';

const replica = (address: string, priority = 0, cluster = 0) => ({ address, priority, cluster });
const shown = (configured: readonly string[], learned: readonly ReturnType<typeof replica>[], node = 1) =>
  registryChoices({ node: nodeId(node), configured, learned }).map(({ address, rank }) => `${address} ${String(rank)}`);

const tables: readonly (readonly [
  string,
  readonly string[],
  readonly ReturnType<typeof replica>[],
  readonly string[],
])[] = [
  ['nothing is learned yet', ['r1'], [], ['r1 0']],
  ['several configured ones are in their order', ['r2', 'r1'], [], ['r2 0', 'r1 1']],
  ['priority', ['r1'], [replica('r1', 9), replica('r2', 3)], ['r2 0', 'r1 1']],
  ['cluster before priority', ['r1'], [replica('r1', 0, 1), replica('r2', 9, 0)], ['r2 0', 'r1 1']],
  [
    'one that the registry does not name comes last',
    ['name'],
    [replica('r1'), replica('r2', 1)],
    ['r1 0', 'r2 1', 'name 2'],
  ],
  [
    'an order of the operator is kept',
    ['r2', 'r1'],
    [replica('r1'), replica('r2', 9), replica('r3')],
    ['r2 0', 'r1 1', 'r3 2'],
  ],
];
for (const [what, configured, learned, expected] of tables) {
  test(`registries: ${what}`, () => {
    assert.deepEqual(shown(configured, learned), expected);
  });
}

test('of equal registries each node prefers another one, and none is left for another', () => {
  const learned = ['r1:1', 'r2:1', 'r3:1'].map((address) => replica(address));
  const first = new Map<string, number>();
  for (let node = 0; node < 3000; node++) {
    const choices = registryChoices({ node: nodeId(node), configured: ['r1:1'], learned });
    const best = choices[0]?.address ?? '';
    first.set(best, (first.get(best) ?? 0) + 1);
    assert.deepEqual(betterThan(choices, choices[2]?.address ?? ''), []);
    // Who is gone moves its own nodes alone.
    const rest = registryChoices({ node: nodeId(node), configured: ['r1:1'], learned: learned.slice(1) });
    if (best !== 'r1:1') assert.equal(rest[0]?.address, best);
  }
  for (const count of first.values()) assert.ok(count > 800 && count < 1200, String(count));
});

test('the next registry, and those to go back to', () => {
  const choices = registryChoices({ node: nodeId(1), configured: ['r1'], learned: [replica('r1'), replica('r2', 1)] });
  assert.deepEqual(
    [undefined, 'r1', 'r2', 'gone'].map((one) => choiceAfter(choices, one)),
    ['r1', 'r2', 'r1', 'r1'],
  );
  assert.deepEqual(betterThan(choices, 'r1'), []);
  assert.deepEqual(betterThan(choices, 'r2'), ['r1']);
  assert.deepEqual(betterThan(choices, 'gone'), ['r1', 'r2'], 'one that is not known any more is worse than all');
});

test('a node shows the registries as next-hop servers: with whom its session is and since when, whom it tries, who waits', () => {
  const config = {
    registries: [replica('best:1', 0), replica('mine:1', 10), replica('last:1', 20)],
  } as Partial<OverlayConfig> as OverlayConfig;
  const choices = registryChoices({ node: nodeId(1), configured: ['last:1'], learned: config.registries });
  const state = { config, connectedTo: 'mine:1', connectedAt: 1000 as Instant } as AgentState;
  const rows = ({ servers }: RegistryStatus): string[] =>
    servers.map((one) => `${one.address} ${String(one.priority)} ${one.state} ${String(one.age)}`);
  assert.deepEqual(rows(registryStatus(state, choices, 61_000 as Instant)), [
    'best:1 0 probe null',
    'mine:1 10 up 60',
    'last:1 20 down null',
  ]);
  const alone = { ...state, connectedTo: undefined, connectedAt: undefined };
  assert.deepEqual(rows(registryStatus(alone, choices, 61_000 as Instant)), [
    'best:1 0 probe null',
    'mine:1 10 probe null',
    'last:1 20 probe null',
  ]);
});
