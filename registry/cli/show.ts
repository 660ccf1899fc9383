import { type Command } from 'commander';
import { ciscoCache, ciscoDmvpn } from './cisco.ts';
import { dmvpnPeers, dmvpnTable } from './dmvpn.ts';
import { type FindOptions, findRegistry, requireAdmin, withFind } from './find.ts';
import { frrCache, frrDmvpn } from './frr.ts';
import type { Io } from './io.ts';
import { type Format, laidOut, type LayoutOptions, present, type View, withLayout, withWatch } from './output.ts';
import { cacheRows } from './rows.ts';
import { type Registry, withRegistry } from './rpc.ts';
import { addShowNode } from './show-node.ts';
import { bindingTable, eventTable, nodeTable, overlayTable, routeTable, tokenTable } from './show-tables.ts';
import {
  type BindingView,
  bindingView,
  eventView,
  type NodeView,
  nodeView,
  routeView,
  type OverlayView,
  overlayView,
  tokenView,
} from './views.ts';

interface Subject {
  readonly name: string;
  readonly aliases: readonly string[];
  readonly description: string;
  /** Nodes may not ask. */
  readonly admin: boolean;
  /** Routers show it too, in layouts of their own. */
  readonly layouts?: boolean;
  readonly fetch: (registry: Registry, format: Format) => Promise<View>;
}

export async function nodes(registry: Registry): Promise<NodeView[]> {
  const answer = await registry.ask(({ query }) => query.listNodes.bind(query), {});
  return answer.nodes.map(nodeView);
}

async function bindings(registry: Registry): Promise<BindingView[]> {
  const answer = await registry.ask(({ query }) => query.listBindings.bind(query), {});
  return answer.bindings.map(bindingView);
}

export async function overlay(registry: Registry): Promise<OverlayView> {
  const answer = await registry.ask(({ query }) => query.getOverlay.bind(query), {});
  if (!answer.overlay) throw new Error('the registry sent no overlay');
  return overlayView(answer.overlay);
}

const subjects: readonly Subject[] = [
  {
    name: 'nodes',
    aliases: [],
    description: 'every enrolled machine',
    admin: false,
    fetch: async (registry) => {
      const data = await nodes(registry);
      return { data, table: () => nodeTable(data) };
    },
  },
  {
    name: 'hubs',
    aliases: [],
    description: 'the machines that forward',
    admin: false,
    fetch: async (registry) => {
      const data = (await nodes(registry)).filter(({ role }) => role === 'hub');
      return { data, table: () => nodeTable(data) };
    },
  },
  {
    name: 'bindings',
    aliases: ['nhrp'],
    description: 'which prefix is at which node: the NHRP cache',
    admin: false,
    layouts: true,
    fetch: async (registry, format) => {
      const data = await bindings(registry);
      const view = { data, table: () => bindingTable(data) };
      if (format !== 'cisco' && format !== 'frr') return view;
      const [all, { name }] = await Promise.all([nodes(registry), overlay(registry)]);
      const rows = cacheRows(data, all, name, Date.now());
      return { ...view, cisco: () => ciscoCache(rows), frr: () => frrCache(rows) };
    },
  },
  {
    name: 'routes',
    aliases: [],
    description: 'announced prefixes and who serves them',
    admin: false,
    fetch: async (registry) => {
      const answer = await registry.ask(({ query }) => query.listRoutes.bind(query), {});
      const data = answer.routes.map(routeView);
      return { data, table: () => routeTable(data) };
    },
  },
  {
    name: 'tokens',
    aliases: [],
    description: 'join tokens that are still good, without their secrets',
    admin: true,
    fetch: listTokens,
  },
  {
    name: 'events',
    aliases: [],
    description: 'what happened lately',
    admin: false,
    fetch: async (registry) => {
      const answer = await registry.ask(({ query }) => query.listEvents.bind(query), {});
      const data = answer.events.map(eventView);
      return { data, table: () => eventTable(data) };
    },
  },
  {
    name: 'dmvpn',
    aliases: [],
    description: "peers in the columns of Cisco's `show dmvpn`",
    admin: false,
    layouts: true,
    fetch: async (registry, format) => {
      const [all, known] = await Promise.all([nodes(registry), bindings(registry)]);
      const data = dmvpnPeers(all, known, Date.now());
      const name = format === 'cisco' ? (await overlay(registry)).name : '';
      return {
        data,
        table: () => dmvpnTable(data),
        cisco: () => ciscoDmvpn(data, name),
        frr: () => frrDmvpn(data),
      };
    },
  },
  {
    name: 'overlay',
    aliases: [],
    description: "the overlay's settings",
    admin: false,
    fetch: async (registry) => {
      const data = await overlay(registry);
      return { data, table: () => overlayTable(data) };
    },
  },
];

export async function listTokens(registry: Registry): Promise<View> {
  const answer = await registry.ask(({ admin }) => admin.listTokens.bind(admin), {});
  const data = answer.tokens.map(tokenView);
  return { data, table: () => tokenTable(data) };
}

export function addShow(program: Command, io: Io): void {
  const show = program
    .command('show')
    .description('what the registry knows, and what this node knows')
    .addHelpText('after', examples);
  for (const subject of subjects) {
    const command = show
      .command(subject.name)
      .description(subject.description)
      .aliases([...subject.aliases]);
    withWatch(withFind(command)).action(async (options: FindOptions & LayoutOptions) => {
      const access = await findRegistry(io, options);
      if (subject.admin) requireAdmin(access, `show ${subject.name}`);
      const output = laidOut(options);
      await withRegistry(access, (registry) => present(io, output, () => subject.fetch(registry, output.output)));
    });
    if (subject.layouts === true) withLayout(command);
  }
  addShowNode(show, io);
}

const examples = `
Examples:
  dmwg show nodes --state-dir /var/lib/dmwg/registry
  dmwg show dmvpn --watch
  dmwg show nhrp --format cisco
  dmwg show nhs --state-dir /var/lib/dmwg/node --format frr
  dmwg show bindings -o json | jq '.[] | select(.type == "dynamic")'
`;
