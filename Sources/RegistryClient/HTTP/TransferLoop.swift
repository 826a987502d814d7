// SPDX-License-Identifier: Apache-2.0
import CCurl

/// All transfers of one command, moved by one thread: libcurl-multi(3). Connections are kept and shared.
package final class TransferLoop {
    private let multi: UnsafeMutableRawPointer
    private var running: [UnsafeMutableRawPointer: Transfer] = [:]

    package init() throws(RegistryError) {
        guard curl_global_init(Int(CURL_GLOBAL_DEFAULT)) == CURLE_OK, let multi = curl_multi_init() else {
            throw RegistryError(.other, "libcurl cannot be started: out of memory")
        }
        self.multi = multi
    }

    deinit {
        for handle in running.keys { curl_multi_remove_handle(multi, handle) }
        curl_multi_cleanup(multi)
    }

    func start(_ transfer: Transfer) throws(RegistryError) {
        running[transfer.handle] = transfer
        let code = curl_multi_add_handle(multi, transfer.handle)
        if code != CURLM_OK { throw failure(code) }
    }

    /// Ends a transfer without waiting for it.
    func cancel(_ transfer: Transfer) {
        guard running.removeValue(forKey: transfer.handle) != nil else { return }
        curl_multi_remove_handle(multi, transfer.handle)
    }

    /// Moves all transfers as far as they go without waiting, then waits at most `milliseconds` for more to happen.
    func drive(waitMilliseconds milliseconds: Int64) throws(RegistryError) {
        if milliseconds > 0 {
            let code = curl_multi_poll(multi, nil, 0, Int32(clamping: milliseconds), nil)
            if code != CURLM_OK { throw failure(code) }
        }
        var count: Int32 = 0
        let code = curl_multi_perform(multi, &count)
        if code != CURLM_OK { throw failure(code) }
        var handle: UnsafeMutableRawPointer?
        var result = CURLE_OK
        while samara_curl_next_finished(multi, &handle, &result) != 0 {
            guard let handle, let transfer = running.removeValue(forKey: handle) else { continue }
            curl_multi_remove_handle(multi, handle)
            transfer.result = result
        }
    }

    /// Drives until `transfer` has ended; the others move meanwhile.
    func finish(_ transfer: Transfer) throws(RegistryError) {
        while transfer.result == nil { try drive(waitMilliseconds: 1000) }
    }

    private func failure(_ code: CURLMcode) -> RegistryError {
        RegistryError(.other, "libcurl failed: \(String(cString: curl_multi_strerror(code)))")
    }
}
