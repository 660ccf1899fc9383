// Bundles the three programs into dist/bin, and puts the .proto files that they read into dist/proto. Of each program NAME there is
// NAME.cjs, which is started (see start.cjs), NAME.main.cjs, the bundle, with its source map, and NAME.cache.
// Everything is built in a directory of its own and renamed into place file by file: a running program is not hurt, and of
// two builds at the same time the later one wins whole files.
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { copyFile, mkdir, mkdtemp, readFile, readdir, rename, rm, utimes, writeFile } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { build } from 'esbuild';
import start from './start.cjs';

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

/** One program at a time: a fault in one does not keep the others from being built. */
async function bundle(name, source, outdir) {
  await build({
    absWorkingDir: root,
    entryPoints: { [`${name}.main`]: source },
    outdir,
    outExtension: { '.js': '.cjs' },
    bundle: true,
    platform: 'node',
    target: 'node20',
    format: 'cjs',
    charset: 'ascii',
    banner: { js: mark('') },
    sourcemap: 'linked',
    sourcesContent: false,
    minifySyntax: true,
    minifyWhitespace: true,
    legalComments: 'none',
    logLevel: 'warning',
    plugins: [protoPaths],
  });
  const main = join(outdir, `${name}.main.cjs`);
  const text = await readFile(main, 'latin1');
  const digest = createHash('sha256').update(text).digest('base64url');
  await writeFile(main, text.replace(mark(''), mark(digest)), 'latin1');
  await copyFile(join(root, 'deploy/start.cjs'), join(outdir, `${name}.cjs`));
}

/** A comment of fixed length that tells one bundle from another. */
function mark(digest) {
  return `/*${digest.padEnd(start.markLength - 4, '.')}*/`;
}

/** Also shows that the program starts: `--help` must succeed. */
async function makeCache(name, outdir) {
  const script = `require('./start.cjs').makeCache(${JSON.stringify(join(outdir, `${name}.cjs`))})`;
  await promisify(execFile)(process.execPath, ['-e', script], { cwd: join(root, 'deploy') });
}

const started = new Date();
const dist = join(root, 'dist');
await mkdir(dist, { recursive: true });
const fresh = await mkdtemp(join(dist, '.build-'));
try {
  await copyProtoFiles(fresh);
  for (const [name, source] of Object.entries(entryPoints)) {
    try {
      await bundle(name, source, join(fresh, 'bin'));
      await makeCache(name, join(fresh, 'bin'));
    } catch (error) {
      // What is wrong with the source, esbuild has said already.
      if (error.errors === undefined) console.error(`build: ${name} does not start: ${error.message}`);
      process.exitCode = 1;
    }
  }
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
