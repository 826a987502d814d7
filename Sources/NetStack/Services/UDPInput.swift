// SPDX-License-Identifier: Apache-2.0

extension NetStack {
    /// UDP from the guest (RFC 768): one datagram, or a batch when the frame is segmented by its offload header.
    mutating func receiveUDP(_ datagram: InternetDatagram) {
        let bytes = datagram.transport
        guard bytes.count >= 8 else {
            counters.count(.dropMalformedUDP)
            return
        }
        let source = InternetEndpoint(datagram.source, bytes.u16(0))
        let destination = InternetEndpoint(datagram.destination, bytes.u16(2))
        let length = Int(bytes.u16(4))
        let segmentation = datagram.offload.segmentation
        guard length >= 8, length <= bytes.count, source.port != 0, destination.port != 0,
            segmentation == .none || segmentation == .udp
        else {
            counters.count(.dropMalformedUDP)
            return
        }
        var checked = datagram
        checked.transport = bytes.prefix(length)
        // IPv4 may send none; for IPv6 a zero checksum is an error (RFC 8200, section 8.1).
        let hasChecksum = bytes.u16(6) != 0 || datagram.offload.needsChecksum
        guard hasChecksum ? checksumIsGood(checked, field: 6) : datagram.source.isIPv4 else {
            counters.count(.dropUDPChecksum)
            return
        }
        counters.count(.udpReceived)
        let verdict = policy.verdict(destination, .udp)
        guard verdict == .allow else {
            counters.count(.dropPolicy)
            if let error = verdict.icmpError(refused: .portUnreachable) {
                reportError(
                    error, about: datagram, from: source, to: destination, detail: UInt32(length) << 16)
            }
            return
        }
        guard let id = mapping(for: source, kind: .udp, to: destination.address) else { return }
        events.append(
            .datagram(
                id, destination: destination, payload: bytes.slice(8, length - 8),
                segmentSize: segmentation == .udp ? Int(datagram.offload.segmentSize) : 0,
                dontFragment: datagram.dontFragment))
    }

    /// The mapping of `source`, made when there is none; nil when its share of the table is used up.
    mutating func mapping(
        for source: InternetEndpoint, kind: MappingKind, to destination: InternetAddress
    ) -> MappingID? {
        if let known = mappings.find(source, kind) {
            mappings.touch(known, now)
            mappings.records[known].pointee.filter.insert(mappings.remoteHash(destination), now)
            return mappings.records.id(known)
        }
        guard makeRoom(for: source.address, kind) else {
            counters.count(.dropRateLimited)
            return nil
        }
        var record = Mapping(
            source: source, kind: kind, isPublished: false, hash: mappings.hash(source, kind), lastUsed: now,
            filter: RemoteFilter(now))
        record.filter.insert(mappings.remoteHash(destination), now)
        guard let index = mappings.insert(record) else {
            mappings.releaseShare(source.address, kind)
            return nil
        }
        counters.count(.mappingsOpened)
        let id = mappings.records.id(index)
        events.append(.mappingOpened(id, kind: kind, source: source))
        return id
    }

    /// Books a place for a mapping of `address`. When the table is full the least recently used mapping gives way, and when
    /// only the address's share is full, then no mapping of anyone else does.
    private mutating func makeRoom(for address: InternetAddress, _ kind: MappingKind) -> Bool {
        let hasShare = mappings.takeShare(address, kind)
        if hasShare && !mappings.isFull(kind) { return true }
        guard let victim = mappings.leastRecentlyUsed(kind),
            hasShare || mappings.records[victim].pointee.source.address == address
        else {
            if hasShare { mappings.releaseShare(address, kind) }
            return false
        }
        counters.count(.mappingsEvicted)
        events.append(.mappingClosed(mappings.records.id(victim)))
        mappings.remove(victim)
        return hasShare || mappings.takeShare(address, kind)
    }

    mutating func expireMapping(_ index: UInt32) {
        let deadline = mappings.records[index].pointee.deadline
        if deadline > now {
            mappings.timers.schedule(index, at: deadline)
            return
        }
        events.append(.mappingClosed(mappings.records.id(index)))
        mappings.remove(index)
    }

    /// Whether `remote` may send to the mapping.
    func admits(_ mapping: UnsafeMutablePointer<Mapping>, _ remote: InternetAddress) -> Bool {
        mapping.pointee.isPublished || mapping.pointee.filter.mayContain(mappings.remoteHash(remote), now)
    }

    mutating func noteReply(_ index: UInt32) {
        mappings.records[index].pointee.isReplied = true
        mappings.touch(index, now)
    }

    /// Makes a mapping for a published port: datagrams that the pod sends from `source` come as events of it, anyone may
    /// send to it, and it stays until `closeMapping`. Nil when the table is full or the endpoint has a mapping.
    package mutating func publishUDP(_ source: InternetEndpoint, now: MonotonicTime) -> MappingID? {
        self.now = now
        guard mappings.find(source, .udp) == nil, !mappings.isFull(.udp),
            mappings.takeShare(source.address, .udp)
        else { return nil }
        let record = Mapping(
            source: source, kind: .udp, isPublished: true, hash: mappings.hash(source, .udp), lastUsed: now,
            filter: RemoteFilter(now))
        guard let index = mappings.insert(record) else {
            mappings.releaseShare(source.address, .udp)
            return nil
        }
        counters.count(.mappingsOpened)
        return mappings.records.id(index)
    }

    /// Ends a mapping without an event: the caller could not make its socket, or has closed it.
    package mutating func closeMapping(_ id: MappingID) {
        guard mappings.records.find(id) != nil else { return }
        mappings.remove(id.index)
    }

    /// Tells the guest that its datagram to `destination` has failed (the error queue of the host socket: IP_RECVERR,
    /// `ECONNREFUSED` as `.portUnreachable`, `EMSGSIZE` as `.packetTooBig`).
    package mutating func failDatagram(
        _ id: MappingID, destination: InternetEndpoint, error: ICMPError, now: MonotonicTime
    ) {
        self.now = now
        guard let mapping = mappings.records.find(id), mapping.pointee.kind == .udp,
            mapping.pointee.source.address.isIPv4 == destination.address.isIPv4
        else { return }
        reportError(
            error, protocolNumber: IPProtocol.udp, from: mapping.pointee.source, to: destination,
            detail: 8 << 16)
    }
}

extension MappingTable {
    func releaseShare(_ source: InternetAddress, _ kind: MappingKind) {
        if kind == .udp { udpShares.release(source) } else { echoShares.release(source) }
    }
}
