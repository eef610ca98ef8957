import { existsSync, lstatSync, readdirSync, readlinkSync } from 'node:fs'
import { dirname, resolve } from 'node:path'

/**
 * Namespaces and powers. Holds for an ordinary user and for root: without `--remount-ro /proc` (below) a process of root could write the
 * machine's settings, without `--disable-userns` it could make a namespace in which it has powers again.
 */
export const ISOLATION: readonly string[] =
  '--unshare-all --unshare-user --uid 65534 --gid 65534 --disable-userns --cap-drop ALL --die-with-parent --new-session --hostname sandbox'.split(
    ' ',
  )

const LINKED_FOLDERS = ['bin', 'sbin', 'lib', 'lib32', 'lib64', 'libx32'] as const

/**
 * Of `/etc`: how programs are found and linked, how certificates are checked, what time it is. Nothing about users or this machine, and no more
 * than is needed: each mount costs half a millisecond at every start.
 */
const ETC: readonly string[] = `ld.so.cache ld-musl-x86_64.path ld-musl-aarch64.path alternatives
  ssl/certs ssl/openssl.cnf ssl/cert.pem pki/tls/certs pki/tls/cert.pem pki/ca-trust/extracted
  localtime os-release services`.split(/\s+/)
/** A Java runtime does not start without its settings. */
const ETC_OF_JAVA = /^java-\d+-openjdk$/

/** Names of hosts are looked up only where the host's network is shared. */
const ETC_OF_NETWORK: readonly string[] = ['resolv.conf', 'hosts', 'nsswitch.conf', 'gai.conf', 'host.conf']

/** The part of the machine that every command sees, read-only. */
export function systemArguments({ network }: { readonly network: boolean }): readonly string[] {
  const args = ['--ro-bind', '/usr', '/usr']
  for (const name of LINKED_FOLDERS) {
    const path = `/${name}`
    if (!existsSync(path)) continue
    if (lstatSync(path).isSymbolicLink()) args.push('--symlink', readlinkSync(path), path)
    else args.push('--ro-bind', path, path)
  }
  const java = readdirSync('/etc').filter((name) => ETC_OF_JAVA.test(name))
  for (const name of [...ETC, ...java, ...(network ? ETC_OF_NETWORK : [])]) {
    if (existsSync(`/etc/${name}`)) args.push(...viewOf(`/etc/${name}`))
  }
  return [...args, '--proc', '/proc', '--dev', '/dev']
}

/** What is a link into `/usr` is one inside too. */
function viewOf(path: string): readonly string[] {
  const target = lstatSync(path).isSymbolicLink() ? resolve(dirname(path), readlinkSync(path)) : ''
  return target.startsWith('/usr/') ? ['--symlink', target, path] : ['--ro-bind', path, path]
}

/** After everything is mounted: what was only scaffolding cannot be written. */
export const SEALED: readonly string[] = ['--remount-ro', '/dev', '--remount-ro', '/proc', '--remount-ro', '/']

const USERS = 'root:x:0:0:root:/:/bin/false\nsandbox:x:65534:65534:sandbox:/tmp:/bin/sh\n'
const GROUPS = 'root:x:0:\nsandbox:x:65534:\n'
const HOSTS = '127.0.0.1 localhost sandbox\n::1 localhost\n'
const NAME_SERVICES = 'passwd: files\ngroup: files\nhosts: files\n'

/** Files that stand in for those of the machine, by the path that they get. */
export function standIns({ network }: { readonly network: boolean }): readonly (readonly [path: string, text: string])[] {
  const users = [
    ['/etc/passwd', USERS],
    ['/etc/group', GROUPS],
  ] as const
  return network ? users : [...users, ['/etc/hosts', HOSTS], ['/etc/nsswitch.conf', NAME_SERVICES]]
}

/** Empty folders over what must not be seen and happens to lie in a part of the machine that is. */
export function hiddenArguments(closed: readonly string[], shown: readonly string[]): readonly string[] {
  return closed
    .filter((folder) => shown.some((root) => folder.startsWith(`${root}/`)) && existsSync(folder))
    .flatMap((folder) => ['--tmpfs', folder, '--remount-ro', folder])
}
