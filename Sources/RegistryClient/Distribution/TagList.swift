// SPDX-License-Identifier: Apache-2.0
import JSON

extension Repository {
    /// All tags: distribution-spec, "Listing Tags".
    ///
    /// - Parameter pages: the most that are asked for: with the usual 100 tags each, more than any repository has.
    package func tags(pages: Int = 10_000) throws(RegistryError) -> [String] {
        let what = "the tags of \(registry.host)/\(path)"
        var tags: [String] = []
        var next: String? = try url("tags/list")
        for _ in 0..<pages {
            guard let address = next else { return tags }
            let response = try registry.request(HTTPRequest("GET", address), scopes: [pullScope], what: what)
            if !response.isSuccess { throw RegistryError.answer(response, what: what, host: registry.host) }
            let json = try? JSON.parse(response.body)
            // A repository without tags has null there.
            guard let list = json?["tags"], list == .null || list.arrayValue != nil else {
                throw RegistryError(.damaged, "\(what): the registry's answer is no list of tags")
            }
            for tag in list.arrayValue ?? [] {
                guard let tag = tag.stringValue else {
                    throw RegistryError(.damaged, "\(what): the registry's answer is no list of tags")
                }
                tags.append(tag)
            }
            next = try response.header("link").flatMap(Repository.next).map { link throws(RegistryError) in
                // Only of this registry: the next page gets the credentials as well.
                if link.hasPrefix("/") { return try registry.baseURL() + link }
                guard link.hasPrefix(try registry.baseURL() + "/") else {
                    throw RegistryError(.damaged, "\(what): the list goes on at another host, \(link)")
                }
                return link
            }
        }
        throw RegistryError(.damaged, "\(what): the list does not end")
    }

    /// The target of `<target>; rel="next"`: RFC 8288, 3.
    static func next(_ header: String) -> String? {
        guard header.contains("rel=\"next\"") || header.contains("rel=next"), header.hasPrefix("<"),
            let end = header.firstIndex(of: ">")
        else { return nil }
        return String(header[header.index(after: header.startIndex)..<end])
    }
}
