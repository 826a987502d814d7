// SPDX-License-Identifier: Apache-2.0
import Glibc
import JSON
import OCISpec

@testable import RegistryClient

// What libFuzzer calls with each input: hack/fuzz builds and runs this. A trap is a finding; so is a value that says
// something else when it is written and read again.

/// What strangers send, and people write.
private enum Subject: String {
    case reference, manifest, config, auth, registries
}

nonisolated(unsafe) private var subject: Subject?

@_cdecl("LLVMFuzzerInitialize")
public func initialize(_ count: UnsafeMutableRawPointer, _ arguments: UnsafeMutableRawPointer) -> CInt {
    guard let name = getenv("FUZZ_SUBJECT"), let known = Subject(rawValue: String(cString: name)) else {
        print("FUZZ_SUBJECT names no subject")
        exit(2)
    }
    subject = known
    return 0
}

@_cdecl("LLVMFuzzerTestOneInput")
public func testOneInput(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    let bytes = Array(UnsafeBufferPointer(start: start, count: count))
    switch subject {
    case .reference: reference(String(decoding: bytes, as: UTF8.self))
    case .manifest: manifest(bytes)
    case .config: config(bytes)
    case .auth: auth(bytes)
    case .registries: _ = try? RegistriesFile(bytes, path: "registries.conf")
    case nil: break
    }
    return 0
}

private func reference(_ text: String) {
    for parsed in [try? ImageReference(local: text), try? ImageReference(normalizing: text)] {
        guard let parsed else { continue }
        expect((try? ImageReference(normalizing: parsed.description)) == parsed, "\(parsed)")
    }
}

private func manifest(_ bytes: [UInt8]) {
    guard let json = try? JSON.parse(bytes) else { return }
    if let manifest = try? ImageManifest(json) {
        let again = (try? JSON.parse(manifest.json.serialized())).flatMap { try? ImageManifest($0) }
        expect(again == manifest, "\(manifest)")
    }
    if let index = try? ImageIndex(json) {
        let again = (try? JSON.parse(index.json.serialized())).flatMap { try? ImageIndex($0) }
        expect(again == index, "\(index)")
        _ = index.best(for: .host)
    }
}

private func config(_ bytes: [UInt8]) {
    guard let json = try? JSON.parse(bytes), let config = try? ImageConfig(json) else { return }
    let again = (try? JSON.parse(config.container.json.serialized())).flatMap { try? ContainerConfig($0) }
    expect(again == config.container, "\(config)")
}

private func auth(_ bytes: [UInt8]) {
    // RFC 9110, 11.6.1: what a registry asks for comes from strangers as well.
    _ = Challenge.parse(String(decoding: bytes, as: UTF8.self))
    guard let json = (try? JSON.parse(bytes))?.objectValue else { return }
    // Programs are not run.
    if json["credHelpers"] != nil || json["credsStore"] != nil { return }
    _ = try? AuthFile(path: "auth.json", json: json).credentials(host: "x.io", repository: "a/b") { _ in nil }
}

/// Ends the run with the text; libFuzzer keeps the input.
private func expect(_ holds: Bool, _ text: @autoclosure () -> String) {
    if holds { return }
    print("Fatal: ", text())
    fflush(nil)
    abort()
}
