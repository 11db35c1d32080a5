import fs from 'node:fs';

/**
 * The system calls on files that the state is kept by, so that tests can stop between any two of them. Names are paths.
 * What `write`, `rename` and `remove` did is seen by the next process at once, and survives a loss of power once `sync` of
 * the file and of its folder are done.
 */
export interface Files {
  /** Undefined when there is no such file. */
  read(path: string): string | undefined;
  /** Names in a folder, none when it is not there. */
  list(folder: string): string[];
  /** Makes the folder and those above it. */
  makeFolder(folder: string): void;
  /** Replaces the content. A process that is killed meanwhile leaves some part of it. */
  write(path: string, text: string): void;
  /** A file, or a folder. */
  sync(path: string): Promise<void>;
  rename(from: string, to: string): void;
  /** Nothing happens when there is no such file. */
  remove(path: string): void;
}

/** Those of the system. Errors are Node's, with `code` and `path`. */
export const systemFiles: Files = {
  read(path) {
    try {
      return fs.readFileSync(path, 'utf8');
    } catch (error) {
      if (isNotThere(error)) return undefined;
      throw error;
    }
  },
  list(folder) {
    try {
      return fs.readdirSync(folder);
    } catch (error) {
      if (isNotThere(error)) return [];
      throw error;
    }
  },
  makeFolder(folder) {
    fs.mkdirSync(folder, { recursive: true, mode: 0o700 });
  },
  write(path, text) {
    fs.writeFileSync(path, text, { mode: 0o600 });
  },
  async sync(path) {
    const handle = await fs.promises.open(path, 'r');
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
  },
  rename(from, to) {
    fs.renameSync(from, to);
  },
  remove(path) {
    fs.rmSync(path, { force: true });
  },
};

/** What the system had against a call, in its words; undefined for an error of another kind, which is a fault. */
export function refusalOf(error: unknown): string | undefined {
  return error instanceof Error && typeof (error as { code?: unknown }).code === 'string'
    ? error.message
    : undefined;
}

function isNotThere(error: unknown): boolean {
  return (error as { code?: unknown } | null)?.code === 'ENOENT';
}
