//! The rows of a run as one Parquet file: what the lake holds after Firehose's conversion, with the
//! columns that `tidegate transform schema` prints.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail};
use jiff::Timestamp;
use parquet::basic::{Compression, ConvertedType, Repetition, Type as Physical};
use parquet::data_type::{BoolType, ByteArray, ByteArrayType, DoubleType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedColumnWriter, SerializedFileWriter};
use parquet::schema::types::Type;
use serde_json::{Map, Value};
use tidegate_transform::{Field, Kind};

/// Rows that are gathered before they are written.
const GROUP_ROWS: usize = 100_000;

/// A Parquet file in the making.
pub struct Table {
    path: PathBuf,
    writer: SerializedFileWriter<File>,
    columns: Vec<Column>,
    /// Rows that are gathered.
    waiting: usize,
    rows: usize,
}

/// One column, with its values since the last group.
struct Column {
    name: String,
    /// Whether each row has a value: 1 or 0.
    there: Vec<i16>,
    values: Values,
}

enum Values {
    Text(Vec<ByteArray>),
    Integer(Vec<i64>),
    Float(Vec<f64>),
    Boolean(Vec<bool>),
    /// Microseconds of the epoch.
    Time(Vec<i64>),
}

impl Table {
    /// An empty file with a column for each field.
    pub fn create(path: &Path, fields: &[Field]) -> anyhow::Result<Self> {
        if fields.is_empty() {
            bail!("the pipeline names no field, so that there is no column: declare fields");
        }
        let columns: Vec<_> = fields.iter().map(Column::new).collect();
        let types = columns.iter().map(Column::parquet).collect::<Result<_, _>>()?;
        let schema = Type::group_type_builder("rows").with_fields(types).build()?;
        let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
        let file = File::create(path);
        let file = file.with_context(|| format!("{} cannot be written", path.display()))?;
        let writer = SerializedFileWriter::new(file, Arc::new(schema), Arc::new(properties))
            .map_err(|error| unwritten(path, error))?;
        Ok(Self { path: path.to_owned(), writer, columns, waiting: 0, rows: 0 })
    }

    /// Adds the rows of one answer.
    pub fn add(&mut self, lines: &[u8]) -> anyhow::Result<()> {
        for row in serde_json::Deserializer::from_slice(lines).into_iter::<Map<String, Value>>() {
            let mut row = row.context("a row is no JSON object")?;
            for column in &mut self.columns {
                let value = row.remove(&column.name).unwrap_or(Value::Null);
                column.push(value)?;
            }
            self.waiting += 1;
            self.rows += 1;
            if self.waiting >= GROUP_ROWS {
                self.group().map_err(|error| unwritten(&self.path, error))?;
            }
        }
        Ok(())
    }

    /// Writes what is gathered as a group of rows.
    fn group(&mut self) -> Result<(), ParquetError> {
        if self.waiting == 0 {
            return Ok(());
        }
        let mut group = self.writer.next_row_group()?;
        for column in &mut self.columns {
            if let Some(writer) = group.next_column()? {
                column.write(writer)?;
            }
        }
        group.close()?;
        self.waiting = 0;
        Ok(())
    }

    /// Ends the file; what it holds, for a person.
    pub fn finish(mut self) -> anyhow::Result<String> {
        let written = self.group();
        let closed = written.and_then(|()| self.writer.close());
        closed.map_err(|error| unwritten(&self.path, error))?;
        let (path, rows, columns) = (self.path.display(), self.rows, self.columns.len());
        let bytes = std::fs::metadata(&self.path)?.len();
        Ok(format!("Parquet    {path}: {rows} rows, {columns} columns, {bytes} bytes"))
    }
}

impl Column {
    fn new(field: &Field) -> Self {
        let values = match field.kind {
            Kind::Text | Kind::Any => Values::Text(Vec::new()),
            Kind::Integer => Values::Integer(Vec::new()),
            Kind::Float => Values::Float(Vec::new()),
            Kind::Boolean => Values::Boolean(Vec::new()),
            Kind::Timestamp => Values::Time(Vec::new()),
        };
        Self { name: field.name.clone(), there: Vec::new(), values }
    }

    fn parquet(&self) -> anyhow::Result<Arc<Type>> {
        let (physical, converted) = match self.values {
            Values::Text(_) => (Physical::BYTE_ARRAY, ConvertedType::UTF8),
            Values::Integer(_) => (Physical::INT64, ConvertedType::NONE),
            Values::Float(_) => (Physical::DOUBLE, ConvertedType::NONE),
            Values::Boolean(_) => (Physical::BOOLEAN, ConvertedType::NONE),
            Values::Time(_) => (Physical::INT64, ConvertedType::TIMESTAMP_MICROS),
        };
        let column = Type::primitive_type_builder(&self.name, physical)
            .with_repetition(Repetition::OPTIONAL)
            .with_converted_type(converted);
        Ok(Arc::new(column.build()?))
    }

    fn push(&mut self, value: Value) -> anyhow::Result<()> {
        if value.is_null() {
            self.there.push(0);
            return Ok(());
        }
        let fits = match (&mut self.values, &value) {
            (Values::Text(values), Value::String(text)) => {
                values.push(ByteArray::from(text.as_bytes().to_vec()));
                true
            }
            // The column of a field of any kind is text.
            (Values::Text(values), other) => {
                values.push(ByteArray::from(other.to_string().into_bytes()));
                true
            }
            (Values::Integer(values), other) => push(values, other.as_i64()),
            (Values::Float(values), other) => push(values, other.as_f64()),
            (Values::Boolean(values), other) => push(values, other.as_bool()),
            (Values::Time(values), other) => {
                let time = other.as_str().and_then(|text| text.parse::<Timestamp>().ok());
                push(values, time.map(Timestamp::as_microsecond))
            }
        };
        if !fits {
            bail!("{} is {value}, which its column cannot hold", self.name);
        }
        self.there.push(1);
        Ok(())
    }

    /// Writes the values, and forgets them.
    fn write(&mut self, mut writer: SerializedColumnWriter<'_>) -> Result<(), ParquetError> {
        let there = std::mem::take(&mut self.there);
        let there = Some(&there[..]);
        match &mut self.values {
            Values::Text(values) => {
                writer.typed::<ByteArrayType>().write_batch(values, there, None)?;
                values.clear();
            }
            Values::Integer(values) | Values::Time(values) => {
                writer.typed::<Int64Type>().write_batch(values, there, None)?;
                values.clear();
            }
            Values::Float(values) => {
                writer.typed::<DoubleType>().write_batch(values, there, None)?;
                values.clear();
            }
            Values::Boolean(values) => {
                writer.typed::<BoolType>().write_batch(values, there, None)?;
                values.clear();
            }
        }
        writer.close()
    }
}

/// Which file could not be written, and why.
fn unwritten(path: &Path, error: ParquetError) -> anyhow::Error {
    let error = match error {
        ParquetError::External(error) => anyhow::Error::from_boxed(error),
        error => error.into(),
    };
    error.context(format!("{} cannot be written", path.display()))
}

fn push<T>(values: &mut Vec<T>, value: Option<T>) -> bool {
    let fits = value.is_some();
    values.extend(value);
    fits
}
