// What dmwg says of routes to people.
import assert from 'node:assert/strict';
import test from 'node:test';
import { parseAgentConfig, withExit } from '#proto/codec/agent-config.ts';
import { parseNodeName } from '#proto/model/names.ts';
import { must } from '#proto/model/result.ts';
import { exitLine, routingText } from '#registry/cli/status-routing.ts';
import { traceText } from '#registry/cli/trace.ts';

const nothing = {
  announced: [],
  withheld: [],
  learned: [],
  counts: { announced: 0, withheld: 0, learned: 0 },
  exit: null,
};

test('routes in status: what they are and why', () => {
  assert.equal(routingText(nothing), '');
  const text = routingText({
    ...nothing,
    announced: [{ prefix: '10.1.0.0/24', preference: 200, origin: 'ospf eth1', refused: null }],
    withheld: [{ prefix: '10.2.0.0/24', reason: 'it flaps' }],
    learned: [
      { prefix: '10.3.0.0/24', node: 'b', preference: 0, origins: 2, installed: false, reason: 'the host is in it' },
    ],
    counts: { announced: 1, withheld: 1, learned: 300 },
  });
  assert.equal(
    text,
    `ROUTE        STATE      FROM          PREF  REASON
10.1.0.0/24  announced  ospf eth1      200  -
10.2.0.0/24  withheld   -                -  it flaps
10.3.0.0/24  left out   b and 1 more     -  the host is in it
and 299 more
`,
  );
});

test('the exit in status', () => {
  const exit = { node: 'gateway', killSwitch: true, interface: 'dmwg-h1', reason: null };
  assert.equal(exitLine(nothing), '');
  assert.equal(exitLine({ ...nothing, exit }), 'exit: gateway by dmwg-h1, kill switch on');
  const away = { node: 'gateway', killSwitch: false, interface: null, reason: 'no hub is up' };
  assert.equal(exitLine({ ...nothing, exit: away }), 'exit: gateway not there: no hub is up');
});

test('a trace in words', () => {
  const trace = {
    address: '10.2.0.7',
    prefix: '10.2.0.0/24',
    interface: 'dmwg-h1',
    path: 'hub',
    node: 'b',
    hub: 'hub-a',
    why: ['one', 'two'],
  };
  assert.equal(traceText(trace), '10.2.0.7: by the hub hub-a (dmwg-h1) to b, route 10.2.0.0/24\n  one\n  two\n');
  assert.throws(() => traceText({}), /one version/);
});

test('an exit is written into agent.yaml, and taken out, with everything else as it was', () => {
  const text = `# mine
version: 1
overlay: lab
node: {id: "0123456789abcdef", name: a, role: spoke, address: 10.0.0.2} # here
registry: ["r:1"]
`;
  const exit = { via: must(parseNodeName('gateway')), killSwitch: true, direct: [] };
  const changed = must(withExit(text, exit));
  assert.deepEqual(must(parseAgentConfig(changed)).exit, exit);
  assert.match(changed, /# mine\n[^]*# here/);
  assert.equal(must(parseAgentConfig(must(withExit(changed, undefined)))).exit, undefined);
  assert.ok(!parseAgentConfig(changed.replace('role: spoke', 'role: hub')).ok);
});
