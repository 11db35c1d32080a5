/**
 * From the settings of a daemon to the source that it reads.
 */

import { DirectorySource } from './directory/source.ts';
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
}

export async function openSource(settings: DatastoreSettings, wanted: Wanted): Promise<OpenSource> {
  if ('directory' in settings) {
    const { directory } = settings;
    return { source: new DirectorySource(directory), description: `directory ${directory}` };
  }
  const { kubeconfig } = settings.kubernetes;
  // Only who reads it has the cost of its libraries.
  const { KubernetesSource } = await import('./kubernetes/source.ts');
  const description = `Kubernetes API, ${kubeconfig === undefined ? 'account of the pod' : `kubeconfig ${kubeconfig}`}`;
  return { source: new KubernetesSource({ kubeconfig, ...wanted }), description };
}
