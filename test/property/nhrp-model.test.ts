// Any sequence of what nodes, replicas, the clock and the network may do, against a plain model of the registry.
import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { hostPrefix, type Prefix } from '#proto/model/address.ts';
import { errorCode, type NhrpMessage, type RegistrationRequest } from '#proto/model/nhrp.ts';
import { seconds } from '#proto/model/time.ts';
import { announcedBy, multipointOf } from '#registry/decide/node.ts';
import { type Claim, NhrpModel } from '#test/support/nhrp-model.ts';
import { relayed } from '#registry/decide/transit.ts';
import { serverAt, type Weather, World } from '#test/support/nhrp-world.ts';
import {
  announcement,
  cie,
  message,
  multipoint,
  prefix,
  publicKey,
  registration,
  resolution,
} from '#test/support/registry-fixtures.ts';

const holdingTime = 600_000;
const claims: readonly Claim[] = [
  { node: 1, prefix: prefix('10.1.0.0/16') },
  { node: 2, prefix: prefix('10.1.2.0/24') },
  { node: 3, prefix: prefix('10.3.0.0/16') },
  { node: 4, prefix: prefix('10.4.0.0/16') },
];
const nodes = [1, 2, 3, 4];
const keys = ['red', 'green', 'blue', 'white', 'black'];
const announced = ['10.1.0.0/16', '10.1.2.0/24', '10.1.3.0/24', '10.1.2.128/25', '10.3.0.0/16', '10.4.0.0/16'].map(
  prefix,
);
const places = [
  '10.1.2.200/32',
  '10.1.3.1/32',
  '10.1.77.1/32',
  '10.3.0.1/32',
  '10.4.9.9/32',
  '10.99.0.1/32',
  '10.99.0.3/32',
].map(prefix);
const classes = [...announced, ...places, prefix('10.0.0.0/8')];

interface Real {
  readonly world: World;
}

const own = (number: number): Prefix => hostPrefix(`10.99.0.${String(number)}` as never);
const codesOf = ({ body }: NhrpMessage): number[] => ('cies' in body ? body.cies.map(({ code }) => code) : [-1]);

/** One thing that happens, to both. */
class Happening implements fc.AsyncCommand<NhrpModel, Real> {
  readonly #name: string;
  readonly #run: (model: NhrpModel, world: World) => Promise<void>;

  constructor(name: string, run: (model: NhrpModel, world: World) => Promise<void>) {
    this.#name = name;
    this.#run = run;
  }

  check(): boolean {
    return true;
  }

  async run(model: NhrpModel, { world }: Real): Promise<void> {
    await this.#run(model, world);
    model.expire(world.now);
    world.setWeather([]);
    const { bindings, routes } = world.store.snapshot();
    const table = [...bindings.values()].map((binding) => {
      const key = keys.find((one) => publicKey(one) === multipointOf(binding)?.publicKey) ?? '?';
      return `${String(Number.parseInt(binding.node, 16))} ${key} ${announcedBy(binding).sort().join()}`;
    });
    assert.deepEqual(table.sort(), model.table(), 'the registry holds what the model holds');
    const held = [...bindings.values()].flatMap(announcedBy);
    assert.equal(new Set(held).size, held.length, 'no prefix is held twice');
    for (const place of places) {
      const owner = model.owner(place, own);
      const found = routes.match(place.slice(0, -3) as never)?.value;
      // A node that is only enrolled is in the routes, too, and is answered with code 12.
      const live = found !== undefined && bindings.has(found) ? Number.parseInt(found, 16) : undefined;
      if (owner !== undefined) assert.equal(live, owner, `${place} leads to its owner`);
    }
    assert.deepEqual(world.overdue(), [], 'nothing is held longer than its holding time');
  }

  toString(): string {
    return this.#name;
  }
}

const node = fc.constantFrom(...nodes);
const weather: fc.Arbitrary<Weather> = fc.array(fc.constantFrom(0, 1, 1, 1, 2), { maxLength: 8 });
let ids = 100;

function withHolding(said: NhrpMessage<RegistrationRequest>): NhrpMessage {
  const cies = said.body.cies.map((one) => ({ ...one, holdingTime: seconds(holdingTime / 1000) }));
  return { ...said, body: { ...said.body, cies } };
}

/** Only a node with a session says something; a message that is lost changes nothing. */
async function says(
  world: World,
  number: number,
  said: NhrpMessage<RegistrationRequest>,
  expected: () => number[],
): Promise<void> {
  if (world.agent(number).replica === undefined) return;
  const answers = await world.say(number, { ...withHolding(said), requestId: ++ids });
  if (answers.length === 0) return;
  const codes = expected();
  for (const answer of answers) assert.deepEqual(codesOf(answer), codes);
}

/** What is wrong with a message, and the error that it gets. */
const wrongs: readonly (readonly [string, (said: NhrpMessage) => NhrpMessage, number])[] = [
  ['no hops', (said) => ({ ...said, hopCount: 0 }), errorCode.hopCountExceeded],
  ['a source of another', (said) => ({ ...said, source: '10.99.0.77' as never }), errorCode.authenticationFailure],
  [
    'an unknown extension',
    (said) => ({ ...said, extensions: [{ type: 0x1234, compulsory: true, value: new Uint8Array() }] }),
    errorCode.unrecognisedExtension,
  ],
  [
    'a loop',
    (said) => {
      const record = { ...said, extensions: [{ type: 4, compulsory: true, value: new Uint8Array() }] };
      return [0, 1].map(serverAt).reduce<NhrpMessage>((passed, server) => {
        const onward = relayed(passed, server);
        assert.ok(typeof onward === 'object');
        return onward;
      }, record);
    },
    errorCode.loop,
  ],
];

/** It fills the caches, so it happens more often than the rest. */
const use = fc.tuple(node, fc.constantFrom(...places), weather).map(
  ([number, place, sky]) =>
    new Happening(`use ${String(number)} ${place} [${sky.join('')}]`, async (_, world) => {
      world.setWeather(sky);
      await world.use(number, place);
    }),
);

const happenings = [
  fc.tuple(node, fc.constantFrom(...keys), fc.integer({ min: 1, max: 3 }), weather).map(
    ([number, key, port, sky]) =>
      new Happening(`register ${String(number)} ${key} at ${String(port)} [${sky.join('')}]`, async (model, world) => {
        world.setWeather(sky);
        const said = registration(`10.99.0.${String(number)}`, [
          multipoint(key, [`192.0.2.${String(number)}:${String(port)}`]),
        ]);
        await says(world, number, said, () => [model.register(number, key)]);
      }),
  ),
  fc.tuple(node, fc.uniqueArray(fc.constantFrom(...announced), { maxLength: 3 }), weather).map(
    ([number, prefixes, sky]) =>
      new Happening(`announce ${String(number)} ${prefixes.join()} [${sky.join('')}]`, async (model, world) => {
        world.setWeather(sky);
        await says(world, number, announcement(`10.99.0.${String(number)}`, prefixes), () =>
          model.announce(number, prefixes),
        );
      }),
  ),
  fc.tuple(node, fc.constantFrom(...classes), fc.boolean()).map(
    ([number, what, noReply]) =>
      new Happening(`purge ${String(number)} ${what}${noReply ? ' N' : ''}`, async (model, world) => {
        if (world.agent(number).replica === undefined) return;
        const [network = '', length] = what.split('/');
        const cies = [cie({ protocolAddress: network as never, prefixLength: Number(length) })];
        const source = `10.99.0.${String(number)}`;
        await world.say(
          number,
          message(source, source, { type: 'purge-request', noReply, cies }, { requestId: ++ids }),
        );
        model.purge(number, own(number), what);
      }),
  ),
  use,
  use,
  use,
  fc.tuple(node, fc.constantFrom(...wrongs), fc.integer({ min: 0, max: 2 })).map(
    ([number, [what, spoil, code], kind]) =>
      new Happening(`say ${String(number)} with ${what}, ${String(kind)}`, async (_, world) => {
        if (world.agent(number).replica === undefined) return;
        const source = `10.99.0.${String(number)}`;
        const all = cie({ protocolAddress: source as never });
        const said: readonly NhrpMessage[] = [
          resolution(source, '10.99.0.1'),
          registration(source, [multipoint('black')]),
          message(source, source, { type: 'purge-request', noReply: false, cies: [all] }),
        ];
        const [answer] = await world.say(
          number,
          spoil({ ...(said[kind] ?? said[0]), requestId: ++ids } as NhrpMessage),
        );
        assert.ok(answer?.body.type === 'error-indication' && answer.body.code === code);
      }),
  ),
  fc
    .tuple(node, fc.constantFrom(0, 1))
    .map(
      ([number, replica]) =>
        new Happening(`connect ${String(number)} to ${String(replica)}`, (_, world) => world.connect(number, replica)),
    ),
  node.map(
    (number) =>
      new Happening(`disconnect ${String(number)}`, async (model, world) => {
        await world.disconnect(number);
        model.lose(number, world.now);
      }),
  ),
  fc.constantFrom(0, 1).map(
    (replica) =>
      new Happening(`crash ${String(replica)}`, async (_, world) => {
        await world.crash(replica);
      }),
  ),
  fc.tuple(fc.constantFrom(1000, 20_000, 150_000, 400_000), weather).map(
    ([span, sky]) =>
      new Happening(`pass ${String(span / 1000)} s [${sky.join('')}]`, async (_, world) => {
        world.setWeather(sky);
        await world.pass(span);
      }),
  ),
];

test('whatever happens, the registry holds what the model holds, and caches come to the truth', async () => {
  await fc.assert(
    fc.asyncProperty(fc.commands(happenings, { maxCommands: 60, size: 'max' }), async (commands) => {
      const world = new World(claims, holdingTime);
      const model = new NhrpModel(claims, holdingTime);
      try {
        for (const number of nodes) {
          await world.connect(number, number % 2);
          await says(
            world,
            number,
            registration(`10.99.0.${String(number)}`, [
              multipoint(keys[number - 1] ?? '', [`192.0.2.${String(number)}:7`]),
            ]),
            () => [model.register(number, keys[number - 1] ?? '')],
          );
          const all = claims.filter((claim) => claim.node === number).map((claim) => claim.prefix);
          await says(world, number, announcement(`10.99.0.${String(number)}`, all), () => model.announce(number, all));
        }
        await fc.asyncModelRun(() => ({ model, real: { world } }), commands);
        world.setWeather([]);
        for (const number of nodes) if (world.agent(number).replica === undefined) await world.connect(number, 0);
        await world.pass(30_000);
        assert.deepEqual(world.untrue('direct'), [], 'what carries traffic has come to the truth');
        // What expired while its node was away lives on for a minute.
        await world.pass(40_000);
        assert.deepEqual(world.untrue(), [], 'all caches have come to the truth, long before they expire');
        assert.deepEqual(world.unanswered(), [], 'every request has ended');
      } finally {
        await world.stop();
      }
    }),
    { numRuns: 60 },
  );
});
