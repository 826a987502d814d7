// SPDX-License-Identifier: Apache-2.0

/// Bytes to send, read from the start again when a request is repeated.
package protocol UploadSource: AnyObject {
    /// Bytes in all.
    var size: Int64 { get }
    /// Fills `buffer` from the current place; 0 at the end.
    func read(into buffer: UnsafeMutableRawBufferPointer) throws(RegistryError) -> Int
    /// Moves to a place counted from the start.
    func seek(to offset: Int64) throws(RegistryError)
}

/// One request: RFC 9110.
struct HTTPRequest {
    enum Body {
        case none
        case bytes([UInt8])
        case stream(any UploadSource)
    }

    var method: String
    var url: String
    var headers: [(name: String, value: String)] = []
    var body = Body.none
    /// The first byte wanted; 0 wants all: RFC 9110, 14.2.
    var firstByte: Int64 = 0

    init(_ method: String, _ url: String) {
        self.method = method
        self.url = url
    }
}

/// One answer, after redirects.
struct HTTPResponse {
    var status = 0
    /// Names in lower case.
    var headers: [(name: String, value: String)] = []
    /// Empty when a sink took it.
    var body: [UInt8] = []

    /// The last value of a header; the name in lower case.
    func header(_ name: String) -> String? { headers.last { $0.name == name }?.value }

    var isSuccess: Bool { (200..<300).contains(status) }
}

/// How TLS is done with one registry.
struct TLSSettings {
    var verifies = true
    /// Certificates of authorities trusted beside the system's, PEM.
    var authorities: [UInt8] = []
    /// Paths of the client's certificate and key, PEM.
    var clientCertificate: String?
    var clientKey: String?
}

/// Percent-encoding of a query's value: RFC 3986, 2.3.
enum QueryText {
    static func encode(_ text: String) -> String {
        let digits = Array("0123456789ABCDEF".utf8)
        var result: [UInt8] = []
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"),
                UInt8(ascii: "~"):
                result.append(byte)
            default: result += [UInt8(ascii: "%"), digits[Int(byte >> 4)], digits[Int(byte & 15)]]
            }
        }
        return String(decoding: result, as: UTF8.self)
    }
}
