import Engine
import LinuxSystem
func go() -> Int32 {
    let a = Array(CommandLine.arguments.dropFirst())
    do throws(EngineError) {
        let e = try Engine(root: nil, run: nil) { print("warning: \($0)") }
        switch a[0] {
        case "pod": var r = PodRequest(); r.name = a[1]; if a.count > 2 { r.ports = [a[2]] }; if a.count > 3 { r.share = a[3] }; if a.count > 4 { r.network = a[4]; r.ports = [] }; print(try e.createPod(r).record.id)
        case "podstart": try e.startPod(try e.pod(a[1]))
        case "podrm": try e.removePod(try e.pod(a[1]), force: true)
        case "load": return try e.runImageTool(["load", "-i", a[1]])
        case "rund", "run", "runit":
            var r = ContainerRequest(); r.image = a[2]; r.pod = a[1] == "-" ? nil : a[1]; r.command = Array(a[3...])
            if a[1] == "none" || a[1] == "host" { r.pod = nil; r.network = a[1] }
            if a[0] != "rund" { r.settings.isAutoRemoved = true }
            if a[0] == "runit" { r.settings.hasTerminal = true; r.settings.isInteractive = true }
            let c = try e.create(r)
            var at: AttachRequest? = nil
            if a[0] != "rund" { at = AttachRequest(); at?.forwardsInput = a[0] == "runit" }
            let code = try e.start(c, attach: at)
            if let code { return code }
            print(c.record.id)
        case "exec": var x = ExecRequest(); x.command = Array(a[2...]); return try e.exec(try e.container(a[1]), x)
        case "ps": for c in try e.containers() { print(c.record.name, c.state.status, c.state.exitCode, c.state.error) }
        case "stop": try e.stop(try e.container(a[1]), timeout: 2)
        case "rm": try e.remove(try e.container(a[1]), force: true, removesVolumes: true)
        default: print("?")
        }
        return 0
    } catch { print("Error: \(error.message)"); return error.exitCode }
}
import Glibc
exit(go())
