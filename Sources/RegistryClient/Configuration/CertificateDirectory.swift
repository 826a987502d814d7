// SPDX-License-Identifier: Apache-2.0
import LinuxSystem
import SystemPackage

/// Certificates for one registry: containers-certs.d(5). `*.crt` are authorities, `*.cert` with the `*.key` of the same
/// name is the client's.
struct CertificateDirectory {
    /// The directories for `host`, first the one that wins.
    ///
    /// - Parameter chosen: --cert-dir, which holds the files themselves.
    static func settings(
        host: String, chosen: String?, environment: (String) -> String?
    ) throws(RegistryError) -> TLSSettings {
        var settings = TLSSettings()
        if let chosen {
            if !File.exists(chosen) {
                throw RegistryError(.other, "the directory with certificates \"\(chosen)\" does not exist")
            }
            try add(chosen, to: &settings)
            return settings
        }
        let home = environment("HOME") ?? ""
        for base in [home + "/.config/containers/certs.d", "/etc/containers/certs.d", "/etc/docker/certs.d"] {
            let directory = base + "/" + host
            if File.exists(directory) {
                try add(directory, to: &settings)
                break
            }
        }
        return settings
    }

    private static func add(_ directory: String, to settings: inout TLSSettings) throws(RegistryError) {
        do throws(Errno) {
            for name in try Directory.names(directory).sorted() {
                let path = directory + "/" + name
                if name.hasSuffix(".crt") {
                    settings.authorities += try File.read(path, limit: 1 << 20) + [10]
                } else if name.hasSuffix(".cert") {
                    settings.clientCertificate = path
                    let key = directory + "/" + name.dropLast(5) + ".key"
                    if File.exists(key) { settings.clientKey = key }
                }
            }
        } catch { throw RegistryError("read the certificates in", directory, error) }
    }
}
