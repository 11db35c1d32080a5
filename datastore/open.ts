/**
 * From the settings of a daemon to the source that it reads.
 */

import { DirectorySource } from './directory/source.ts';
import type { KindStatus } from './kubernetes/status.ts';
import type { Kind } from './resource.ts';
import type { Source } from './source.ts';

/** As the section `datastore` of a configuration has it. */
export type DatastoreSettings =
  | { readonly directory: string }
  | { readonly kubernetes: { readonly kubeconfig: string | undefined } };

export interface Wanted {
  /** Kinds that are read; a directory tells of others too. */
  readonly kinds: readonly Kind[];
  /** Which objects of a kind, as a field selector of the API; a directory tells of all. */
  readonly fieldSelectors?: Readonly<Partial<Record<Kind, string>>>;
}

export interface OpenSource {
  readonly source: Source;
  /** Where objects come from, in words. */
  readonly description: string;
  /** How each kind is followed; empty for a source that does not follow them one by one. */
  readonly kinds: () => readonly KindStatus[];
}

export async function openSource(settings: DatastoreSettings, wanted: Wanted): Promise<OpenSource> {
  if ('directory' in settings) {
    const { directory } = settings;
    return { source: new DirectorySource(directory), description: `directory ${directory}`, kinds: () => [] };
  }
  const { kubeconfig } = settings.kubernetes;
  // Only who reads it has the cost of its libraries.
  const { KubernetesSource } = await import('./kubernetes/source.ts');
  const description = `Kubernetes API, ${kubeconfig === undefined ? 'account of the pod' : `kubeconfig ${kubeconfig}`}`;
  const source = new KubernetesSource({ kubeconfig, ...wanted });
  return { source, description, kinds: () => source.status };
}
