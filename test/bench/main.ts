// Benchmarks, each against WireGuard set up by hand in the same run: node --import tsx test/bench/main.ts [NAME]...
// As root, after deploy/setup. Results are medians; compare only numbers of one machine.
import { cpus, release } from 'node:os';
import { labObstacle } from '#test/support/lab/lab.ts';
import { faults } from './faults.ts';
import { firstPacket } from './first-packet.ts';
import { footprint } from './footprint.ts';
import { purgeFanOut } from './purge-fan-out.ts';
import { reconnectStorm } from './reconnect-storm.ts';
import { registryLoad } from './registry-load.ts';
import { routeChange } from './route-change.ts';
import { throughput } from './throughput.ts';

const benchmarks: Readonly<Record<string, () => Promise<string>>> = {
  'first-packet': firstPacket,
  throughput,
  footprint,
  'purge-fan-out': purgeFanOut,
  'registry-load': registryLoad,
  'reconnect-storm': reconnectStorm,
  'route-change': routeChange,
  faults,
};

const names = process.argv.length > 2 ? process.argv.slice(2) : Object.keys(benchmarks);
const unknown = names.filter((name) => benchmarks[name] === undefined);
const obstacle =
  unknown.length > 0 ? `no benchmark ${unknown.join()}: ${Object.keys(benchmarks).join(', ')}` : await labObstacle();
if (obstacle !== undefined) {
  process.stderr.write(`bench: ${obstacle}\n`);
  process.exit(2);
}
process.stdout.write(
  `${String(cpus().length)} x ${cpus()[0]?.model ?? 'CPU'}, Linux ${release()}, Node ${process.version}\n`,
);
for (const name of names) process.stdout.write((await benchmarks[name]?.()) ?? '');
process.exit(0);
