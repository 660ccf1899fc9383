// Bundles the three programs: dist/bin/{cli,agent,registry}.cjs, and the .proto files that they read to dist/proto.
// Everything is built in a directory of its own and renamed into place file by file: a running program is not hurt, and of
// two builds at the same time the later one wins whole files.
import { copyFile, mkdir, mkdtemp, readFile, readdir, rename, rm, utimes, writeFile } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const entryPoints = { cli: 'registry/cli/main.ts', agent: 'agent/main.ts', registry: 'registry/main.ts' };

/** Packages that read .proto files relative to their own source; in a bundle that is `../proto` beside dist/bin. */
const protoReaders = [
  { file: /etcd3[\\/]lib[\\/]connection-pool\.js$/, from: '/../proto/rpc.proto', to: '/../proto/etcd/rpc.proto' },
  { file: /@grpc[\\/]reflection[\\/]build[\\/].*reflection-v1(alpha)?\.js$/, from: '../../proto/', to: '../proto/' },
  { file: /grpc-health-check[\\/]build[\\/]src[\\/]health\.js$/, from: '/../../proto', to: '/../proto' },
];

const protoFiles = [
  { from: 'node_modules/etcd3/proto', to: 'proto/etcd' },
  { from: 'node_modules/@grpc/reflection/build/proto/grpc', to: 'proto/grpc' },
  { from: 'node_modules/grpc-health-check/proto', to: 'proto' },
  { from: 'proto/gen', to: 'proto', only: /^descriptors\.binpb$/ },
];

const protoPaths = {
  name: 'proto-paths',
  setup(plugins) {
    for (const { file, from, to } of protoReaders) {
      plugins.onLoad({ filter: file }, async ({ path }) => {
        const source = await readFile(path, 'utf8');
        if (!source.includes(from)) throw new Error(`${path} no longer contains "${from}": see protoReaders`);
        return { contents: source.replaceAll(from, to), loader: 'js' };
      });
    }
  },
};

async function filesUnder(folder) {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath ?? entry.path, entry.name));
}

async function copyProtoFiles(target) {
  for (const { from, to, only } of protoFiles) {
    for (const file of await filesUnder(join(root, from))) {
      const name = relative(join(root, from), file);
      if (only !== undefined && !only.test(name)) continue;
      await mkdir(dirname(join(target, to, name)), { recursive: true });
      await copyFile(file, join(target, to, name));
    }
  }
}

async function exists(path) {
  return readFile(path).then(
    () => true,
    () => false,
  );
}

/** One program at a time: a fault in one does not keep the others from being built. */
async function bundle(name, source, outdir) {
  await build({
    absWorkingDir: root,
    entryPoints: { [name]: source },
    outdir,
    outExtension: { '.js': '.cjs' },
    bundle: true,
    platform: 'node',
    target: 'node20',
    format: 'cjs',
    sourcemap: 'linked',
    sourcesContent: false,
    minifySyntax: true,
    minifyWhitespace: true,
    legalComments: 'none',
    logLevel: 'warning',
    plugins: [protoPaths],
  });
}

const started = new Date();
const dist = join(root, 'dist');
await mkdir(dist, { recursive: true });
const fresh = await mkdtemp(join(dist, '.build-'));
try {
  for (const [name, source] of Object.entries(entryPoints)) {
    if (await exists(join(root, source))) {
      // esbuild has printed what is wrong.
      await bundle(name, source, join(fresh, 'bin')).catch(() => (process.exitCode = 1));
    } else {
      console.warn(`build: ${source} does not exist yet`);
    }
  }
  await copyProtoFiles(fresh);
  for (const file of await filesUnder(fresh)) {
    const target = join(dist, relative(fresh, file));
    await mkdir(dirname(target), { recursive: true });
    await rename(file, target);
  }
  if (process.exitCode === undefined) {
    // What deploy/setup compares the sources with: what changed while this ran is built again.
    await writeFile(join(dist, '.built'), '');
    await utimes(join(dist, '.built'), started, started);
  }
} finally {
  await rm(fresh, { recursive: true, force: true });
}
