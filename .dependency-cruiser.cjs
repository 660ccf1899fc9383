// Who may import what: the table of ARCHITECTURE.md as rules. A folder may import what is allowed here and nothing else.
const npm = (...names) => names.map((name) => `^node_modules/${name}/`);
/** Node's own modules: "fs", "stream/consumers". Files of ours have a dot in their path. */
const node = '^[a-z_0-9/]+$';

const model = '^proto/model/';
const kit = '^proto/kit/';
const codec = '^proto/codec/';
const generated = '^proto/gen/';

/** What is under `from` may import what matches one of `to`, and its own folder. */
function only(name, from, to, comment) {
  return {
    name,
    comment,
    severity: 'error',
    from: { path: `^${from}/` },
    to: { pathNot: [`^${from}/`, ...to] },
  };
}

module.exports = {
  forbidden: [
    only(
      'model-is-alone',
      'proto/model',
      npm('ipaddr\\.js'),
      'The shared model is plain values: no Node, no npm but the address parser.',
    ),
    only('nhrp-packets', 'proto/nhrp', [model], 'Packets are octets on one side and the model on the other.'),
    only('kit', 'proto/kit', [model, node, ...npm('.*'), '^package\\.json$'], 'The kit knows neither program.'),
    only(
      'codec',
      'proto/codec',
      [model, kit, generated, '^crypto$', ...npm('zod', 'yaml')],
      'Codecs turn generated shapes, files and tokens into the model and back; they read and write nothing themselves.',
    ),
    only(
      'agent-decides-purely',
      'agent/decide',
      [model],
      'Deciders are pure: time, randomness and the world are arguments.',
    ),
    only(
      'registry-decides-purely',
      'registry/decide',
      [model],
      'Deciders are pure: time, randomness and the world are arguments.',
    ),
    only(
      'agent-observe',
      'agent/observe',
      ['^agent/decide/', '^agent/io/[a-z-]*port\\.ts$', model, kit],
      'The world into values, through ports.',
    ),
    only(
      'agent-apply',
      'agent/apply',
      ['^agent/decide/', '^agent/io/[a-z-]*port\\.ts$', model, kit],
      'Values into the world, through ports.',
    ),
    only(
      'agent-io',
      'agent/io',
      [
        model,
        kit,
        codec,
        generated,
        node,
        '^agent/decide/',
        ...npm('@grpc/grpc-js', '@peculiar/x509', 'reflect-metadata', 'yaml', 'zod', 'cockatiel', 'prom-client'),
      ],
      'Adapters: everything that touches the system or the network.',
    ),
    only(
      'registry-serve',
      'registry/serve',
      [
        '^registry/decide/',
        '^registry/store/(port|mirror)[^/]*\\.ts$',
        model,
        kit,
        codec,
        generated,
        node,
        ...npm(
          '@grpc/.*',
          '@peculiar/x509',
          'reflect-metadata',
          'grpc-health-check',
          '@bufbuild/protobuf',
          'prom-client',
          'yaml',
          'zod',
        ),
      ],
      'Serving knows the store by its port, not by etcd.',
    ),
    only(
      'registry-store',
      'registry/store',
      ['^registry/decide/', model, kit, node, ...npm('etcd3', 'cockatiel', 'zod', '@grpc/grpc-js')],
      'The store knows records, not requests.',
    ),
    only(
      'registry-cli',
      'registry/cli',
      [
        '^proto/',
        '^package\\.json$',
        '^registry/decide/',
        '^agent/decide/',
        node,
        ...npm('@grpc/grpc-js', 'commander', 'yaml', 'zod', '@peculiar/x509', 'reflect-metadata'),
      ],
      'The command line is a client: it never reaches into serve or store.',
    ),
    {
      name: 'etcd3-in-one-place',
      comment: 'etcd3 needs care (resume revisions, deadlines); only the adapter around it sees it.',
      severity: 'error',
      from: { pathNot: ['^registry/store/etcd[^/]*\\.ts$', '^node_modules/'] },
      to: { path: npm('etcd3') },
    },
    { name: 'agent-not-registry', severity: 'error', from: { path: '^agent/' }, to: { path: '^registry/' } },
    {
      name: 'registry-not-agent',
      comment: 'But the command line may use the pure deciders of the agent.',
      severity: 'error',
      from: { path: '^registry/', pathNot: '^registry/cli/' },
      to: { path: '^agent/' },
    },
    { name: 'proto-not-programs', severity: 'error', from: { path: '^proto/' }, to: { path: '^(agent|registry)/' } },
    { name: 'not-to-test', severity: 'error', from: { pathNot: '^test/' }, to: { path: '^test/' } },
    { name: 'no-cycles', severity: 'error', from: {}, to: { circular: true } },
    { name: 'resolvable', severity: 'error', from: {}, to: { couldNotResolve: true } },
    {
      name: 'no-dev-packages',
      comment: 'Programs are bundled from "dependencies" only.',
      severity: 'error',
      from: { path: '^(agent|registry|proto)/' },
      to: { dependencyTypes: ['npm-dev', 'npm-no-pkg', 'npm-unknown'], dependencyTypesNot: ['type-only'] },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['node', 'import', 'require', 'default', 'types'],
    },
  },
};
