import type { AddressKey } from '#datastore/address.ts';
import { Commits, unfinished } from '#felix/state/commits.ts';
import { type Files, refusalOf } from '#felix/state/files.ts';
import { Allocator, type AllocatorOptions, type AllocatorState, EMPTY_STATE } from './allocator.ts';
import { formatState, parseState } from './document.ts';

export interface IpamOptions extends AllocatorOptions {
  /** The file that the state is kept in. Its folder has to be there. */
  readonly path: string;
  readonly files: Files;
}

/**
 * The node's addresses, kept on disk. What is given is in memory at once, so that it is given to nobody else. Before it is made
 * known it has to be on disk: by `commit`, or in a record of its owner that is adopted at the next start. What is released
 * needs no such care: a file that still has it only keeps the address from being given.
 */
export class Ipam {
  readonly allocator: Allocator;
  /** What was wrong with the file; its allocations have to be taken over from elsewhere then. */
  readonly damage: string | undefined;
  readonly #commits: Commits;

  private constructor(options: IpamOptions, state: AllocatorState, damage: string | undefined) {
    this.allocator = new Allocator(options, state);
    this.damage = damage;
    this.#commits = new Commits(options.files, options.path, () => formatState(this.allocator.state));
  }

  /** Reads the file, which need not be there; one that can not be read is damaged. */
  static open(options: IpamOptions): Ipam {
    const { files, path } = options;
    try {
      const text = files.read(path);
      const state = text === undefined ? EMPTY_STATE : parseState(text);
      if ('damage' in state) return new Ipam(options, EMPTY_STATE, `${path}: ${state.damage}`);
      // A process was killed before it was whole.
      files.remove(unfinished(path));
      return new Ipam(options, state, undefined);
    } catch (error) {
      const damage = refusalOf(error);
      if (damage === undefined) throw error;
      return new Ipam(options, EMPTY_STATE, damage);
    }
  }

  /**
   * Gives an owner an address of each family; see {@link Allocator.allocate}.
   *
   * @throws IpamError
   */
  allocate(
    owner: string,
    requested: readonly AddressKey[] = [],
    holderOf?: (address: AddressKey) => string | undefined,
  ): readonly AddressKey[] {
    return this.allocator.allocate(owner, requested, holderOf);
  }

  release(owner: string): readonly AddressKey[] {
    return this.allocator.release(owner);
  }

  /** Resolves when all that is given and released by now is on the disk. @throws StateError */
  commit(): Promise<void> {
    return this.#commits.commit();
  }
}
