// What is asked of the agent of this machine: its next-hop servers, shortcuts and counters.
import type { Command } from 'commander';
import { join } from 'node:path';
import { ProgramError } from '#proto/kit/errors.ts';
import { agentStatus } from './agent-socket.ts';
import { agentCounters, type AgentView, agentView } from './agent-view.ts';
import { ciscoCache, ciscoNhs, ciscoTraffic } from './cisco.ts';
import { countersTable, countersView, registryCountersTable } from './counters.ts';
import { type FindOptions, findRegistry, withFind } from './find.ts';
import { frrCache, frrCounters, frrNhs, frrShortcuts } from './frr.ts';
import type { Io } from './io.ts';
import { laidOut, type LayoutOptions, present, type View, withLayout, withWatch } from './output.ts';
import { type Registry, withRegistry } from './rpc.ts';
import { agentCacheRows, type CacheRow, type NhsRow, nhsRows, shortcutRows } from './rows.ts';
import {
  defaultNodeDir,
  defaultRegistryDir,
  exists,
  givenStateDir,
  nodeStateDir,
  type StateDirOptions,
  withStateDir,
} from './state-dir.ts';
import { type Column, formatSpan, formatTable } from './table.ts';

export function addShowNode(show: Command, io: Io): void {
  addLocal(show, io, {
    name: 'nhs',
    description: 'next-hop servers of this machine: its hubs and registries, from its agent',
    view: (status) => {
      const rows = nhsRows(status);
      return { data: rows, table: () => nhsTable(rows), cisco: () => ciscoNhs(rows), frr: () => frrNhs(rows) };
    },
  });
  addLocal(show, io, {
    name: 'shortcuts',
    description: 'shortcuts of this machine to other spokes, from its agent',
    view: (status) => {
      const rows = shortcutRows(status);
      return {
        data: rows,
        table: () => shortcutTable(rows),
        cisco: () => ciscoCache(rows),
        frr: () => frrShortcuts(rows),
      };
    },
  });
  addLocal(show, io, {
    name: 'cache',
    description:
      'the NHRP cache of this machine, from its agent: own, hubs, shortcuts, and what is asked for or refused',
    view: (status) => {
      const rows = agentCacheRows(status);
      return {
        data: rows,
        table: () => cacheTable(rows),
        cisco: () => ciscoCache(rows),
        frr: () => frrCache(rows),
      };
    },
  });
  addCounters(show, io);
}

interface Local {
  readonly name: string;
  readonly description: string;
  readonly view: (status: AgentView) => View;
}

function addLocal(show: Command, io: Io, { name, description, view }: Local): void {
  withLayout(withWatch(withStateDir(show.command(name).description(description)))).action(
    async (options: StateDirOptions & LayoutOptions) => {
      const stateDir = await nodeStateDir(io, options);
      await present(io, laidOut(options), async () => view(agentView(await agentStatus(stateDir))));
    },
  );
}

type CounterOptions = FindOptions & LayoutOptions & { readonly node?: string };

function addCounters(show: Command, io: Io): void {
  const command = show
    .command('counters')
    .description('NHRP messages by type, refusals by code: of the registry, or of the node of a state dir');
  withLayout(withWatch(withFind(command)))
    .option('--node <node>', "one node's at the registry, since its session began: name or id")
    .action(async (options: CounterOptions) => {
      const stateDir = options.node === undefined ? await localNode(io, options) : undefined;
      if (stateDir !== undefined) {
        await present(io, laidOut(options), async () => localCounters(agentView(await agentStatus(stateDir))));
        return;
      }
      const access = await findRegistry(io, options);
      await withRegistry(access, (registry) =>
        present(io, laidOut(options), () => registryCounters(registry, options.node)),
      );
    });
}

/** The state dir of the node that is asked, unless a registry is. */
async function localNode(io: Io, options: FindOptions): Promise<string | undefined> {
  if ((options.profile ?? io.environment['DMWG_PROFILE'] ?? '') !== '') return undefined;
  const given = givenStateDir(io, options);
  if (given === undefined && (await exists(defaultRegistryDir))) return undefined;
  const dir = given ?? defaultNodeDir;
  const registry = await exists(join(dir, 'registry.yaml'));
  return !registry && (await exists(join(dir, 'agent.yaml'))) ? dir : undefined;
}

function localCounters(status: AgentView): View {
  const counters = agentCounters(status);
  return {
    data: { node: status.node, ...counters },
    table: () => countersTable(counters),
    cisco: () => ciscoTraffic(status.node, counters),
    frr: () => frrCounters(status.node, counters),
  };
}

async function registryCounters(registry: Registry, node: string | undefined): Promise<View> {
  const answer = await registry.ask(({ query }) => query.getCounters.bind(query), { node: node ?? '' });
  const view = countersView(answer);
  if (node === undefined) {
    return {
      data: view,
      table: () => registryCountersTable(view),
      cisco: () => ciscoTraffic('Registry', view),
      frr: () => frrCounters('Registry', view),
    };
  }
  const [one] = view.nodes;
  if (!one) {
    throw new ProgramError(`node ${node} has no session with the replica that was asked (${view.replica})`);
  }
  return {
    data: one,
    table: () => countersTable(one),
    cisco: () => ciscoTraffic(one.name, one),
    frr: () => frrCounters(one.name, one),
  };
}

function nhsTable(rows: readonly NhsRow[]): string {
  return formatTable<NhsRow>(
    [
      { title: 'NHS', text: ({ node, kind }) => (kind === 'hub' ? node : kind) },
      { title: 'ADDRESS', text: ({ address }) => address ?? '' },
      { title: 'NBMA', text: ({ nbma }) => nbma ?? '' },
      { title: 'PRIORITY', text: ({ priority }) => orNothing(priority), right: true },
      { title: 'CLUSTER', text: ({ cluster }) => orNothing(cluster), right: true },
      { title: 'STATE', text: ({ state }) => state },
      { title: 'ACTIVE', text: ({ active }) => (active ? 'yes' : 'no') },
      { title: 'SINCE', text: ({ age }) => (age === null ? '' : formatSpan(age)) },
      { title: 'INTERFACE', text: (row) => (row.kind === 'hub' ? row.interface : '') },
    ],
    rows,
  );
}

function orNothing(value: number | null): string {
  return value === null ? '' : String(value);
}

const cacheColumns: readonly Column<CacheRow>[] = [
  { title: 'PREFIX', text: ({ prefix }) => prefix },
  { title: 'TYPE', text: ({ type }) => type },
  { title: 'VIA', text: ({ nextHop }) => nextHop ?? '' },
  { title: 'NODE', text: ({ node }) => node },
  { title: 'NBMA', text: ({ nbma }) => nbma ?? '' },
  { title: 'FLAGS', text: ({ flags }) => flags.join(' ') },
  { title: 'AGE', text: ({ age }) => (age === null ? '' : formatSpan(age)) },
  { title: 'EXPIRES', text: ({ expiresIn }) => (expiresIn === null ? '' : formatSpan(expiresIn)) },
];

function cacheTable(rows: readonly CacheRow[]): string {
  return formatTable(cacheColumns, rows);
}

/** Entries of one type. */
function shortcutTable(rows: readonly CacheRow[]): string {
  return formatTable(
    cacheColumns.filter(({ title }) => title !== 'TYPE'),
    rows,
  );
}
