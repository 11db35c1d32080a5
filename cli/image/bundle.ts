import { fileURLToPath } from 'node:url';
import { build, type Metafile } from 'esbuild';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/**
 * The command as it ships, with its chunks and the files of its threads beside it. Running from source costs each process 50 MB, and each
 * thread more, for taking the types off.
 *
 * @param folder where `margay.js` comes; koffi has to be found from there
 */
export async function bundle(folder: string): Promise<{ metafile: Metafile }> {
  return build({
    absWorkingDir: ROOT,
    entryPoints: {
      margay: 'cli/main.ts',
      // Threads are started from files of their own, beside the one that starts them.
      'monitor-worker': 'kernel/netlink/monitor-worker.ts',
      'removal-worker': 'felix/endpoints/removal-worker.ts',
    },
    outdir: folder,
    bundle: true,
    splitting: true,
    external: ['koffi'],
    platform: 'node',
    format: 'esm',
    target: 'node24',
    // Names are kept, so that the stack of a fault says something.
    minifySyntax: true,
    minifyWhitespace: true,
    legalComments: 'none',
    metafile: true,
    logLevel: 'warning',
    // CommonJS packages ask for Node's own modules by require.
    banner: {
      js: "import { createRequire as requireFrom } from 'node:module'; const require = requireFrom(import.meta.url);",
    },
  });
}
