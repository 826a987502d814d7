// SPDX-License-Identifier: Apache-2.0
import LinuxSystem

/// A name for a container that was not given one: two words, as people expect from container engines.
enum RandomName {
    static func make() -> String { make(Randomness.bytes(4)) }

    /// The one that belongs to four or more random bytes.
    static func make(_ bytes: [UInt8]) -> String {
        let first = Int(bytes[0]) | Int(bytes[1]) << 8
        let second = Int(bytes[2]) | Int(bytes[3]) << 8
        return "\(word(first, of: adjectives))_\(word(second, of: trees))"
    }

    /// Word `number`, counted round, of a list of words with one blank or line break between them.
    private static func word(_ number: Int, of list: StaticString) -> String {
        list.withUTF8Buffer { bytes in
            let count = bytes.reduce(1) { $0 + ($1 <= 32 ? 1 : 0) }
            var skipped = number % count
            var start = 0
            while skipped > 0 {
                if bytes[start] <= 32 { skipped -= 1 }
                start += 1
            }
            let end = bytes[start...].firstIndex { $0 <= 32 } ?? bytes.count
            return String(decoding: bytes[start..<end], as: UTF8.self)
        }
    }

    private static let adjectives: StaticString = """
        able agile amber ample apt aware basic bold brave brief bright brisk broad calm candid clear clever close cool
        crisp curious deft direct eager early easy exact fair fast fine firm fit fleet fond free fresh full gentle glad
        golden good grand great green handy happy hardy honest humble jolly just keen kind large light lively loyal
        lucid lucky merry mild modest neat nimble noble novel patient plain polite prime prompt proper proud pure quick
        quiet rapid ready rich robust round safe serene sharp silent simple sleek smart smooth snug sober solid sound
        spry stable steady still stout strong subtle sunny sure swift tame tender tidy tough trim true trusty vivid warm
        wise witty worthy young zesty
        """

    private static let trees: StaticString = """
        acacia alder almond apple ash aspen balsa banyan baobab bay beech birch box buckeye cacao cedar cherry chestnut
        citron clove cocoa coconut cork cypress date dogwood ebony elder elm fig fir ginkgo guava hawthorn hazel hemlock
        hickory holly hornbeam ironwood jasmine juniper kapok katsura laurel lemon lilac lime linden locust mahogany
        mango mangrove maple medlar mimosa mulberry myrtle neem nutmeg oak olive orange osier palm papaya peach pear
        pecan persimmon pine pistachio plane plum pomelo poplar quince redbud redwood rowan rubber sapele sequoia
        sorrel spruce sumac sycamore tamarind teak thuja tulip tupelo viburnum walnut wattle willow yew zelkova
        """
}
