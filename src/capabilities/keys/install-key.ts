/** The one key pair of this installation: it signs items, and certifies what other keys do. See `key-file.ts` for how it is kept. */
import { type FileKey, findKey, keyStamp, openKey, replaceKey } from './key-file.ts'

export type InstallKey = FileKey

const STEM = 'install-key'

/**
 * The install key of a folder; one is made when there is none yet.
 *
 * @throws {KiwiError} KEY_UNSAFE, with the command that mends it.
 */
export function openInstallKey(folder: string, { projectPath }: { readonly projectPath: string }): InstallKey {
  return openKey({ folder, stem: STEM, projectPath })
}

/** The install key if there is one; makes none. @throws {KiwiError} KEY_UNSAFE. */
export function findInstallKey(folder: string, { projectPath }: { readonly projectPath: string }): InstallKey | null {
  return findKey({ folder, stem: STEM, projectPath })
}

/** Changes whenever the key file does; null when there is none. */
export function installKeyStamp(folder: string): string | null {
  return keyStamp({ folder, stem: STEM })
}

/** A new key in place of the old one. What becomes of the old one's signatures is for the caller to arrange first. */
export function replaceInstallKey(folder: string, { projectPath }: { readonly projectPath: string }): InstallKey {
  return replaceKey({ folder, stem: STEM, projectPath })
}
