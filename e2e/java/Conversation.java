import java.io.ByteArrayOutputStream;
import java.io.StringReader;
import java.nio.charset.StandardCharsets;
import java.sql.BatchUpdateException;
import java.sql.CallableStatement;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.ResultSetMetaData;
import java.sql.SQLException;
import java.sql.Savepoint;
import java.sql.Statement;
import java.sql.Types;
import java.util.HexFormat;
import java.util.Properties;
import org.postgresql.PGConnection;
import org.postgresql.copy.CopyManager;
import org.postgresql.largeobject.LargeObject;
import org.postgresql.largeobject.LargeObjectManager;

/**
 * What a JDBC application does, in PostgreSQL's own driver, printed: a test compares what is printed
 * through the sidecar with what is printed without it. Arguments: port, user, password.
 */
public final class Conversation {
  private static Connection connect(String[] arguments, String... more) throws SQLException {
    Properties p = new Properties();
    p.setProperty("user", arguments[1]);
    if (!arguments[2].isEmpty()) {
      p.setProperty("password", arguments[2]);
    }
    p.setProperty("sslmode", "disable");
    p.setProperty("connectTimeout", "20");
    p.setProperty("socketTimeout", "60");
    for (int i = 0; i < more.length; i += 2) {
      p.setProperty(more[i], more[i + 1]);
    }
    return DriverManager.getConnection("jdbc:postgresql://127.0.0.1:" + arguments[0] + "/postgres", p);
  }

  private static void print(ResultSet rows) throws SQLException {
    ResultSetMetaData about = rows.getMetaData();
    while (rows.next()) {
      StringBuilder line = new StringBuilder();
      for (int i = 1; i <= about.getColumnCount(); i++) {
        Object value = rows.getObject(i);
        line.append(about.getColumnLabel(i)).append('=')
            .append(value instanceof byte[] ? HexFormat.of().formatHex((byte[]) value) : value).append(' ');
      }
      System.out.println(line.toString().trim());
    }
  }

  private interface Action {
    void run() throws SQLException;
  }

  private static void fails(Action action) throws SQLException {
    try {
      action.run();
    } catch (SQLException e) {
      System.out.println("error " + e.getSQLState() + " " + e.getMessage().split("\n")[0]);
      return;
    }
    throw new IllegalStateException("it should have failed");
  }

  private static void simple(Connection c) throws SQLException {
    try (Statement s = c.createStatement()) {
      print(s.executeQuery("SELECT 1 AS one, 'zwei' AS two, NULL AS nothing"));
      boolean isRows = s.execute("SELECT 1 AS a; SELECT 2 AS b; CREATE TEMP TABLE x (a int)");
      for (; isRows || s.getUpdateCount() != -1; isRows = s.getMoreResults()) {
        System.out.println(isRows ? "rows" : "count " + s.getUpdateCount());
      }
      fails(() -> s.executeQuery("SELECT * FROM nowhere"));
      fails(() -> s.executeQuery("SELECT 1/0"));
      print(s.executeQuery("SELECT 'goes on' AS it"));
    }
  }

  /** From the third execution on the statement is prepared at the server, and values go in binary. */
  private static void prepared(Connection c) throws SQLException {
    try (PreparedStatement s = c.prepareStatement("SELECT ? + 1 AS n, CAST(? AS text) AS t, decode(?, 'hex') AS b")) {
      for (int i = 0; i < 8; i++) {
        s.setInt(1, i);
        s.setString(2, "Ünï " + i);
        s.setString(3, "00ff0" + i);
        print(s.executeQuery());
      }
      System.out.println("prepared " + s.unwrap(org.postgresql.PGStatement.class).isUseServerPrepare());
    }
    try (PreparedStatement s = c.prepareStatement("SELECT 10 / ? AS n")) {
      for (int i = 5; i >= 0; i--) {
        s.setInt(1, i);
        if (i > 0) {
          print(s.executeQuery());
        } else {
          fails(s::executeQuery);
        }
      }
    }
  }

  private static void called(Connection c) throws SQLException {
    try (CallableStatement s = c.prepareCall("{ ? = call upper(?) }")) {
      s.registerOutParameter(1, Types.VARCHAR);
      s.setString(2, "called");
      s.execute();
      System.out.println(s.getString(1));
    }
  }

  private static void batches(Connection c) throws SQLException {
    try (Statement s = c.createStatement()) {
      s.execute("CREATE TEMP TABLE batch (id int PRIMARY KEY, name text)");
    }
    try (PreparedStatement s = c.prepareStatement("INSERT INTO batch VALUES (?, ?)")) {
      for (int i = 0; i < 1000; i++) {
        s.setInt(1, i);
        s.setString(2, "name " + i);
        s.addBatch();
      }
      System.out.println("batch of " + s.executeBatch().length);
      for (int i : new int[] {2000, 2001, 7, 2002}) {
        s.setInt(1, i);
        s.setString(2, "again");
        s.addBatch();
      }
      fails(() -> {
        try {
          s.executeBatch();
        } catch (BatchUpdateException e) {
          System.out.println("counts " + java.util.Arrays.toString(e.getUpdateCounts()));
          throw e;
        }
      });
    }
    try (Statement s = c.createStatement()) {
      print(s.executeQuery("SELECT count(*), sum(id) FROM batch"));
      s.execute("DROP TABLE batch");
    }
  }

  private static void copies(Connection c) throws Exception {
    CopyManager copy = c.unwrap(PGConnection.class).getCopyAPI();
    try (Statement s = c.createStatement()) {
      s.execute("CREATE TEMP TABLE loaded (id int, name text)");
      StringBuilder rows = new StringBuilder();
      for (int i = 0; i < 20000; i++) {
        rows.append(i).append("\tname ").append(i).append('\n');
      }
      System.out.println("copied in " + copy.copyIn("COPY loaded FROM STDIN", new StringReader(rows.toString())));
      ByteArrayOutputStream out = new ByteArrayOutputStream();
      System.out.println("copied out " + copy.copyOut("COPY (SELECT * FROM loaded ORDER BY id) TO STDOUT", out));
      System.out.println("same " + out.toString(StandardCharsets.UTF_8).contentEquals(rows));
      fails(() -> {
        try {
          copy.copyIn("COPY loaded FROM STDIN", new StringReader("not a number\tx\n"));
        } catch (java.io.IOException e) {
          throw new IllegalStateException(e);
        }
      });
      print(s.executeQuery("SELECT count(*) FROM loaded"));
    }
  }

  private static void transactions(Connection c) throws SQLException {
    c.setAutoCommit(false);
    try (Statement s = c.createStatement()) {
      s.execute("CREATE TEMP TABLE t (a int)");
      c.commit();
      s.execute("INSERT INTO t VALUES (1)");
      Savepoint before = c.setSavepoint();
      fails(() -> s.execute("INSERT INTO t VALUES ('x')"));
      fails(() -> s.execute("SELECT 1"));
      c.rollback(before);
      s.execute("INSERT INTO t VALUES (2)");
      c.commit();
      fails(() -> s.execute("SELECT 1/0"));
      fails(() -> s.execute("INSERT INTO t VALUES (3)"));
      c.rollback();
      print(s.executeQuery("SELECT * FROM t ORDER BY a"));
    }
    c.commit();
    c.setAutoCommit(true);
  }

  /** With a fetch size the driver executes one portal in parts. */
  private static void cursor(Connection c) throws SQLException {
    c.setAutoCommit(false);
    try (PreparedStatement s = c.prepareStatement("SELECT i FROM generate_series(1, 1000) i")) {
      s.setFetchSize(37);
      long sum = 0;
      try (ResultSet rows = s.executeQuery()) {
        while (rows.next()) {
          sum += rows.getInt(1);
        }
      }
      System.out.println("sum " + sum);
      try (ResultSet rows = s.executeQuery()) {
        rows.next(); /* and is closed before its end */
      }
    }
    c.commit();
    c.setAutoCommit(true);
  }

  /** Large objects are read and written with FunctionCall messages. */
  private static void largeObject(Connection c) throws SQLException {
    c.setAutoCommit(false);
    LargeObjectManager manager = c.unwrap(PGConnection.class).getLargeObjectAPI();
    long oid = manager.createLO(LargeObjectManager.READWRITE);
    byte[] data = new byte[300000];
    for (int i = 0; i < data.length; i++) {
      data[i] = (byte) (i * 31);
    }
    try (LargeObject object = manager.open(oid, LargeObjectManager.WRITE)) {
      object.write(data);
    }
    try (LargeObject object = manager.open(oid, LargeObjectManager.READ)) {
      System.out.println("large object " + java.util.Arrays.equals(data, object.read(data.length)));
    }
    manager.delete(oid);
    c.rollback();
    c.setAutoCommit(true);
  }

  private static void all(Connection connection, boolean isExtended) throws Exception {
    try (Connection c = connection) {
      System.out.println(c.getMetaData().getDatabaseProductVersion());
      simple(c);
      prepared(c);
      if (isExtended) {
        called(c); /* the driver's simple mode cannot */
      }
      batches(c);
      copies(c);
      transactions(c);
      cursor(c);
      largeObject(c);
    }
  }

  public static void main(String[] arguments) throws Exception {
    all(connect(arguments, "prepareThreshold", "3"), true);
    all(connect(arguments, "preferQueryMode", "simple"), false);
    all(connect(arguments, "prepareThreshold", "-1", "reWriteBatchedInserts", "true", "autosave", "conservative"), true);
    System.out.println("all as expected");
  }
}
