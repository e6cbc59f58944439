// How the coordinator serves the page: to whom, with which header fields, and what a browser has already.

import ClusterIO
import ClusterProto
import HTTPTestSupport
import Testing

@testable import Coordinator

@Suite("The page from the coordinator")
struct PageDoorTests {
  @Test("who has no credential gets the page, with its guards, but nothing of the cluster")
  func served() throws {
    try LiveAPI.with { api in
      let client = try api.connect(api.stranger)
      func ask(_ method: String, _ path: String, headers: [String] = []) throws -> HTTPTestAnswer? {
        client.connection.send(HTTPTestClient.request(method, path, headers: headers))
        var answer: HTTPTestAnswer?
        try api.live.wait("an answer comes to \(path)") {
          answer = client.takeAnswer()
          return answer != nil
        }
        return answer
      }
      let index = try ask("GET", "/ui/")
      #expect(index?.code == 200)
      #expect(index?.header("content-type") == "text/html; charset=utf-8")
      for (name, value) in PageFiles.guards { #expect(index?.header(name.lowercased()) == value) }
      #expect(index?.header("set-cookie") == nil)
      #expect(index?.body == PageFiles.all.first { $0.name == "index.html" }?.bytes)
      let script = try ask("GET", "/ui/main.js", headers: ["Accept-Encoding: gzip"])
      #expect(script?.header("content-type") == "text/javascript; charset=utf-8")
      #expect(script?.header("content-encoding") == "gzip")
      #expect(
        try Gunzip.expand(script?.body ?? [], limit: 1 << 20) == PageFiles.all.first { $0.name == "main.js" }?.bytes)
      #expect(try ask("GET", "/ui")?.header("location") == "/ui/")
      for path in ["/ui/none.js", "/ui/../api", "/ui/%2e%2e/api", "/ui//main.js"] {
        #expect(try ask("GET", path)?.code == 404, "\(path)")
      }
      #expect(try ask("POST", "/ui/session")?.code == 405)
      #expect(try ask("GET", "/uix")?.code == 401)
      #expect(try ask("GET", "/apis/batch/v1/jobs")?.code == 401)
    }
  }

  @Test("a file that a browser has is not sent again, under another Host nothing is")
  func tagged() throws {
    try LiveAPI.with { api in
      let tag = try #require(try api.ask("GET", "/ui/page.css").header("etag"))
      api.dropClient()
      let client = try api.connect()
      client.connection.send(HTTPTestClient.request("GET", "/ui/page.css", headers: ["If-None-Match: W/\(tag)"]))
      try api.live.wait("the answer has come") { client.text.hasSuffix("\r\n\r\n") }
      #expect(client.text.hasPrefix("HTTP/1.1 304 Not Modified\r\n"))
      #expect(!client.text.lowercased().contains("transfer-encoding"))
      #expect(try api.ask("GET", "/ui/", host: "evil.example").code == 403)
    }
  }
}
