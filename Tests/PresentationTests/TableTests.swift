// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import Presentation

/// Expected texts are podman 5.4.2's own output.
@Suite struct Tables {
    @Test func headerWithoutRows() {
        let table = Table(header: ["CONTAINER ID", "IMAGE", "COMMAND", "CREATED", "STATUS", "PORTS", "NAMES"])
        #expect(
            table.text() == "CONTAINER ID  IMAGE       COMMAND     CREATED     STATUS      PORTS       NAMES\n")
        #expect(
            Table(header: ["POD ID", "NAME", "STATUS", "CREATED", "INFRA ID", "# OF CONTAINERS"]).text()
                == "POD ID      NAME        STATUS      CREATED     INFRA ID    # OF CONTAINERS\n")
        #expect(Table(header: nil).text() == "")
    }

    @Test func psAll() {
        let image = "localhost/podman-pause:5.4.2-1766335321"
        let ports = "0.0.0.0:8080->80/tcp"
        let table = Table(
            header: ["CONTAINER ID", "IMAGE", "COMMAND", "CREATED", "STATUS", "PORTS", "NAMES"],
            rows: [
                ["1a5668429591", image, "", "9 seconds ago", "Up 5 seconds", ports, "4a0a61200b66-infra"],
                [
                    "7f2f26540f2e", "quay.io/libpod/testimage:20241011", "httpd -f -p 80", "8 seconds ago",
                    "Up 3 seconds", ports, "web",
                ],
                [
                    "4ac71a5452fe", "quay.io/libpod/testimage:20241011", "top -b", "2 seconds ago",
                    "Up Less than a second", ports, "side",
                ],
            ])
        #expect(
            table.text() == """
                CONTAINER ID  IMAGE                                    COMMAND         CREATED        STATUS                 PORTS                 NAMES
                1a5668429591  localhost/podman-pause:5.4.2-1766335321                  9 seconds ago  Up 5 seconds           0.0.0.0:8080->80/tcp  4a0a61200b66-infra
                7f2f26540f2e  quay.io/libpod/testimage:20241011        httpd -f -p 80  8 seconds ago  Up 3 seconds           0.0.0.0:8080->80/tcp  web
                4ac71a5452fe  quay.io/libpod/testimage:20241011        top -b          2 seconds ago  Up Less than a second  0.0.0.0:8080->80/tcp  side

                """)
    }

    @Test func shortColumns() {
        #expect(
            Table(header: ["DRIVER", "VOLUME NAME"], rows: [["local", "data"]]).text()
                == "DRIVER      VOLUME NAME\nlocal       data\n")
        #expect(
            Table(header: ["NETWORK ID", "NAME", "DRIVER"], rows: [["2f259bab93aa", "podman", "bridge"]]).text()
                == "NETWORK ID    NAME        DRIVER\n2f259bab93aa  podman      bridge\n")
    }

    /// text/tabwriter: a line without a cell in a column ends that column's block.
    @Test func blocksEndAtShorterLines() {
        let text = ColumnLayout.text(aligning: "a\tb\nlong-long-long-long\tb\nno cells\na\tb\tc\n\nx\t\n")
        #expect(
            text
                == "a                    b\nlong-long-long-long  b\nno cells\na           b           c\n\nx           \n"
        )
        #expect(ColumnLayout.text(aligning: "") == "")
        #expect(ColumnLayout.text(aligning: "a\tb") == "a           b")
    }

    @Test func countsScalars() {
        #expect(ColumnLayout.text(aligning: "äöüäöüäöüäöü\tb\n") == "äöüäöüäöüäöü  b\n")
    }
}
